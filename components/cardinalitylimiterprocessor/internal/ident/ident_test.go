package ident

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestValuesOfDifferentTypesDiffer(t *testing.T) {
	key := New(1).String("k")
	seen := map[uint64]string{}
	f := func(what string, h uint64) {
		t.Helper()
		assert.NotContains(t, seen, h, "%s is %s", what, seen[h])
		seen[h] = what
	}
	f("the string 1", Str(key, "1"))
	f("the integer 1", Int(key, 1))
	f("the double 1", Double(key, math.Float64bits(1)))
	f("true", Bool(key, true))
	f("false", Bool(key, false))
	f("the integer 0", Int(key, 0))
	f("a list with the text 1", Other(key, "1"))
	f("the empty string", Str(key, ""))
	f("another key's 1", Str(New(1).String("l"), "1"))
}

func TestSeedsAndHalvesAreIndependent(t *testing.T) {
	a, b := New(1), New(2)
	assert.NotEqual(t, a.String("k"), b.String("k"))
	assert.NotEqual(t, a.String("k"), a.Second().String("k"))
	assert.Equal(t, a.String("k"), New(1).String("k"), "the same after a restart")
	assert.Equal(t, uint64(1), a.Seed())
}

func TestMixDependsOnOrder(t *testing.T) {
	assert.NotEqual(t, Mix(1, 2), Mix(2, 1))
}

// A weak mixture would make sums of different sets of attributes equal.
func TestSumsOfGridsDoNotCollide(t *testing.T) {
	h := New(42)
	route, user := h.String("route"), h.String("user")
	seen := map[uint64]bool{}
	for i := range 300 {
		for j := range 300 {
			seen[Int(route, int64(i))+Int(user, int64(j))] = true
			seen[Str(route, strconv.Itoa(i))+Str(user, strconv.Itoa(j))] = true
		}
	}
	assert.Len(t, seen, 2*300*300)
}
