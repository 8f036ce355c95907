package line

import "math"

const (
	second        = 1_000_000_000 // in nanoseconds
	secondsPerDay = 24 * 60 * 60
	// epochDay is 1970-01-01 counted from 0000-03-01: a year that begins in March has its leap day at the end.
	epochDay = 719468

	notDigits = 1 << 20 // beyond every field's range, alone and in a sum; as a year beyond maxSecond
)

// The first and the last moment that an int64 of nanoseconds can say.
const (
	minSecond = math.MinInt64/second - 1
	minNano   = math.MinInt64 - minSecond*second
	maxSecond = math.MaxInt64 / second
	maxNano   = math.MaxInt64 - maxSecond*second
)

var (
	monthDays = [13]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	pow10     = [10]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}
)

// parseTime reads the RFC 3339 time that s begins with, as nanoseconds since the epoch, and says how long it is: 0 when there is none.
// time.Parse is lenient (a comma, one digit for the hour, more than nine for the fraction, any zone up to 24:60) and takes many times as long.
func parseTime(s string) (nanos int64, length int) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, 0
	}
	year, month, day := two(s, 0)*100+two(s, 2), two(s, 5), two(s, 8)
	hour, minute, sec := two(s, 11), two(s, 14), two(s, 17)
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || sec > 59 {
		return 0, 0
	}
	fraction, n := parseFraction(s, 19)
	offset, n := parseZone(s, n)
	if n == 0 {
		return 0, 0
	}
	seconds := int64(days(year, month, day)*secondsPerDay + hour*3600 + minute*60 + sec - offset)
	if seconds < minSecond || seconds > maxSecond || (seconds == minSecond && fraction < minNano) || (seconds == maxSecond && fraction > maxNano) {
		return 0, 0
	}
	// In the first second of the range the product alone overflows, and the sum wraps back.
	return seconds*second + fraction, n
}

// two reads two digits.
func two(s string, i int) int {
	tens, ones := s[i]-'0', s[i+1]-'0'
	if tens > 9 || ones > 9 {
		return notDigits
	}
	return int(tens)*10 + int(ones)
}

func daysIn(year, month int) int {
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 29
	}
	return monthDays[month]
}

// days counts from the epoch.
func days(year, month, day int) int {
	month -= 3
	if month < 0 {
		month += 12
		year--
	}
	// From March on, every five months have 153 days.
	return year*365 + year/4 - year/100 + year/400 + (month*153+2)/5 + day - 1 - epochDay
}

// parseFraction reads the nanoseconds at i, if any, and returns the index behind them; len(s) when they are not readable.
func parseFraction(s string, i int) (nanos int64, next int) {
	if s[i] != '.' {
		return 0, i
	}
	next = i + 1
	for next < len(s) && isDigit(s[next]) {
		nanos = nanos*10 + int64(s[next]-'0')
		next++
	}
	digits := next - i - 1
	if digits == 0 || digits > 9 {
		return 0, len(s)
	}
	return nanos * pow10[9-digits], next
}

// parseZone reads the zone at i, as seconds east of UTC, and returns the index behind it; 0 when there is none.
func parseZone(s string, i int) (offset, next int) {
	if i >= len(s) {
		return 0, 0
	}
	if s[i] == 'Z' {
		return 0, i + 1
	}
	if len(s) < i+len("+00:00") || (s[i] != '+' && s[i] != '-') || s[i+3] != ':' {
		return 0, 0
	}
	hours, minutes := two(s, i+1), two(s, i+4)
	if hours > 23 || minutes > 59 {
		return 0, 0
	}
	offset = hours*3600 + minutes*60
	if s[i] == '-' {
		offset = -offset
	}
	return offset, i + len("+00:00")
}
