package soak

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echo answers each line with its name before it.
func echo(t *testing.T, name string) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = lis.Close() })
	go func() {
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					if _, err := fmt.Fprintf(c, "%s %s\n", name, lines.Text()); err != nil {
						return
					}
				}
			}()
		}
	}()
	return lis
}

type caller struct {
	net.Conn
	lines *bufio.Scanner
}

func call(t *testing.T, s *Service) *caller {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &caller{c, bufio.NewScanner(c)}
}

func (c *caller) say(what string) (answer string, ok bool) {
	if _, err := fmt.Fprintln(c, what); err != nil {
		return "", false
	}
	ok = c.lines.Scan()
	return c.lines.Text(), ok
}

func TestServiceTakesTheNextThatAnswers(t *testing.T) {
	a, b := echo(t, "a"), echo(t, "b")
	s, err := NewService("127.0.0.1:0", a.Addr().String(), b.Addr().String())
	require.NoError(t, err)
	t.Cleanup(s.Close)
	said := map[string]int{}
	for range 4 {
		answer, _ := call(t, s).say("x")
		said[answer]++
	}
	assert.Equal(t, map[string]int{"a x": 2, "b x": 2}, said)
	require.NoError(t, a.Close())
	for range 2 {
		answer, _ := call(t, s).say("x")
		assert.Equal(t, "b x", answer)
	}
}

func TestServiceRefuses(t *testing.T) {
	s, err := NewService("127.0.0.1:0", echo(t, "a").Addr().String())
	require.NoError(t, err)
	t.Cleanup(s.Close)
	c := call(t, s)
	_, ok := c.say("x")
	require.True(t, ok)
	s.Refuse()
	_, ok = c.say("x")
	assert.False(t, ok, "the connection is cut")
	_, err = net.Dial("tcp", s.Addr)
	require.Error(t, err)
	require.NoError(t, s.Heal())
	answer, _ := call(t, s).say("y")
	assert.Equal(t, "a y", answer)
}

func TestServiceStalls(t *testing.T) {
	s, err := NewService("127.0.0.1:0", echo(t, "a").Addr().String())
	require.NoError(t, err)
	t.Cleanup(s.Close)
	c := call(t, s)
	_, ok := c.say("x")
	require.True(t, ok)
	s.Stall()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = fmt.Fprintln(c, "y")
	require.NoError(t, err, "nobody is told")
	require.False(t, c.lines.Scan())
	require.NoError(t, s.Heal())
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	c.lines = bufio.NewScanner(c)
	require.True(t, c.lines.Scan())
	assert.Equal(t, "a y", c.lines.Text(), "what was on its way arrives")
}
