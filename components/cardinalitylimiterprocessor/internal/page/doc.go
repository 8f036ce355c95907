// Package page is the limiter's read-only HTTP page for people and its JSON twin for tools.
//
// People have / (what is wrong, rules, budgets, metrics, attributes, what became of the points), /explain?metric=NAME and /simulate.
// Tools have the same as JSON. Lists have ?top=20 of each, at most 500. What cannot be told is left out: times, limit files and errors
// that there are none of. Values of attributes of points are nowhere; those of the resource attributes that budgets are kept per are.
//
// GET /api/v1/status:
//
//	time, started      RFC 3339
//	learning           limits are twice the rules' until startup_grace has passed
//	problems[]         level (bad, warn, note), text, advice; the worst first
//	series             admitted now
//	leaves, bytes, max_bytes
//	                   the finest combinations that rules tell apart, the memory for all of it, and its bound
//	admitted, expired  series since the start
//	rules[]            name, per[], unit (series or values), max, action, observe, budgets, limited, active, utilization of the fullest,
//	                   demand (about so many there would be without the limit, in the budget that wants most)
//	budgets[]          the fullest: rule, per[] of {key, value}, unit, active, max, utilization (1 is full), demand (about so many different
//	                   series were turned away), turned_away (times), state (ok, warn, limited), observe, attributes[] of {attribute, values}
//	metrics[]          those with most series and demand: metric, scope, resource[] of {key, value}, series, demand, turned_away,
//	                   attributes[] of {attribute, values (about)}
//	attributes[]       those with most values: attribute, values, of[] of {key, value}, and metric (values is an estimate) or rule and max
//	points             count by outcome since the start
//	dropped            count by reason since the start
//	overflow           streams, max_streams, members, bytes, max_bytes
//	limits_file        path, error, loaded
//	snapshot           time, error
//
// GET /api/v1/explain?metric=NAME: metric, findings[] (sentences), places[] (as metrics[]), budgets[] (as above).
//
// POST /api/v1/simulate with a limits file as the body: rules[] with rule, budgets, over (those beyond their limit), series_over,
// fullest[] (as budgets[]), unknown (why it cannot be told).
//
// What is refused has a status of 400 or more and {"error": "…"}.
package page
