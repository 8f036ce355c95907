// Command demo is an application whose telemetry can be counted from outside.
package main

func main() {}
