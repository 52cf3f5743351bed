// Package roomservice is RoomService for the app's backend: the operator API, user signatures, tokens, webhooks.
package roomservice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Error is what the server refused.
type Error struct {
	// Status is HTTP's.
	Status int
	// Code is for programs; it is empty where a proxy answered.
	Code string
	// Message is for people.
	Message string
	// RetryAfter is how long to wait before another attempt; none: less than 0.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	return fmt.Sprintf("roomservice: %d %s: %s", e.Status, e.Code, e.Message)
}

// passes says whether it may go well a little later. 502 and 504: what a proxy answers while the server starts again. "running":
// the same request, sent before, is still being done.
func (e *Error) passes() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return e.Code == "running"
}

// Client calls the operator API. GET, and what has an Idempotency-Key, is sent again when the server is away for a moment.
// It may be used by several goroutines.
type Client struct {
	server string
	key    string

	// HTTP sends the requests. Its Timeout is for whole answers, recordings too: bound those by their context.
	HTTP *http.Client
	// Timeout bounds every attempt of a call but the reading of a recording: 15 s.
	Timeout time.Duration
	// Retries is how often a request is sent again: 3.
	Retries int
	// LongestWait is the longest pause before that; a server that asks for more is not tried again: 10 s.
	LongestWait time.Duration
}

// NewClient makes a client of a server, as in "https://live.example.com", with an operator's key or token.
func NewClient(server, key string) *Client {
	// A redirection would carry the key elsewhere.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		server:      strings.TrimRight(server, "/"),
		key:         key,
		HTTP:        &http.Client{CheckRedirect: stay},
		Timeout:     15 * time.Second,
		Retries:     3,
		LongestWait: 10 * time.Second,
	}
}

// CallOption changes one call.
type CallOption func(*request)

// IdempotencyKey names a request: with it the request may be sent again, and is done once.
func IdempotencyKey(key string) CallOption {
	return func(r *request) { r.key = &key }
}

// Ptr makes an optional field of a value.
func Ptr[T any](value T) *T { return &value }

type request struct {
	method string
	path   []string
	query  url.Values
	body   any
	key    *string
}

var keyPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

// url is where a request goes. What would lead to another path is refused.
func (r *request) url(server string) (string, error) {
	place := server + root
	for _, part := range r.path {
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf("roomservice: %q cannot stand in a path", part)
		}
		place += "/" + url.PathEscape(part)
	}
	if len(r.query) > 0 {
		place += "?" + r.query.Encode()
	}
	return place, nil
}

func call[T any](ctx context.Context, c *Client, r request, options ...CallOption) (T, error) {
	var answer T
	text, err := c.text(ctx, r, options)
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	return answer, err
}

func (c *Client) do(ctx context.Context, r request, options ...CallOption) error {
	_, err := c.text(ctx, r, options)
	return err
}

func (c *Client) text(ctx context.Context, r request, options []CallOption) (text []byte, err error) {
	err = c.repeat(ctx, r, options, func(build func(context.Context) (*http.Request, error)) error {
		bounded, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		answer, err := c.once(bounded, build)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err = io.ReadAll(answer.Body)
		return err
	})
	return text, err
}

// open gives an answer's bytes to be read and closed.
func (c *Client) open(ctx context.Context, r request) (body io.ReadCloser, err error) {
	err = c.repeat(ctx, r, nil, func(build func(context.Context) (*http.Request, error)) error {
		answer, err := c.once(ctx, build)
		if err == nil {
			body = answer.Body
		}
		return err
	})
	return body, err
}

// repeat makes attempts until one goes well, or another is of no use.
func (c *Client) repeat(ctx context.Context, r request, options []CallOption, attempt func(func(context.Context) (*http.Request, error)) error) error {
	for _, option := range options {
		option(&r)
	}
	build, err := c.builder(&r)
	if err != nil {
		return err
	}
	again := 0
	if r.method == http.MethodGet || r.key != nil {
		again = c.Retries
	}
	for n := 0; ; n++ {
		err := attempt(build)
		if err == nil || n >= again || ctx.Err() != nil {
			return err
		}
		wait := time.Duration(float64(250*time.Millisecond<<n) * (0.5 + rand.Float64()/2))
		var refused *Error
		if errors.As(err, &refused) {
			if !refused.passes() {
				return err
			}
			if refused.RetryAfter >= 0 {
				wait = refused.RetryAfter
			}
		}
		if wait > c.LongestWait {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// builder makes the HTTP request anew for each attempt.
func (c *Client) builder(r *request) (func(context.Context) (*http.Request, error), error) {
	place, err := r.url(c.server)
	if err != nil {
		return nil, err
	}
	if r.key != nil && !keyPattern.MatchString(*r.key) {
		return nil, errors.New("roomservice: an Idempotency-Key is 1 to 255 of A-Z a-z 0-9 - _")
	}
	var text []byte
	if r.body != nil {
		if text, err = json.Marshal(r.body); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) (*http.Request, error) {
		made, err := http.NewRequestWithContext(ctx, r.method, place, bytes.NewReader(text))
		if err != nil {
			return nil, err
		}
		made.Header.Set("Accept", "application/json")
		if c.key != "" {
			made.Header.Set("Authorization", "Bearer "+c.key)
		}
		if r.body != nil {
			made.Header.Set("Content-Type", "application/json")
		}
		if r.key != nil {
			made.Header.Set("Idempotency-Key", *r.key)
		}
		return made, nil
	}, nil
}

func (c *Client) once(ctx context.Context, build func(context.Context) (*http.Request, error)) (*http.Response, error) {
	made, err := build(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := c.HTTP.Do(made)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	return nil, refusal(answer, text)
}

func refusal(answer *http.Response, text []byte) *Error {
	refused := &Error{Status: answer.StatusCode, Message: answer.Status, RetryAfter: -1}
	var problem struct{ Code, Detail string }
	// A proxy's page is no problem of ours.
	if json.Unmarshal(text, &problem) == nil && problem.Code != "" {
		refused.Code, refused.Message = problem.Code, problem.Detail
	}
	if seconds, err := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 31); err == nil {
		refused.RetryAfter = time.Duration(seconds) * time.Second
	}
	return refused
}
