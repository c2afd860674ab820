package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
)

// Client is one connection to a control socket. Its methods may not be called
// concurrently; open one Client for each goroutine.
type Client struct {
	conn   net.Conn
	reader *bufio.Reader
}

// Dial connects to the control socket at path.
func Dial(ctx context.Context, path string) (*Client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("couldn't reach the device's control socket: %w", err)
	}
	return &Client{conn: conn, reader: bufio.NewReader(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Do sends one command and waits for its answer, the JSON of the result. An
// answer that is not ok comes back as an error with the device's words. After
// ctx ended within a Do the Client is closed.
func (c *Client) Do(ctx context.Context, command string) (json.RawMessage, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	if _, err := io.WriteString(c.conn, command+"\n"); err != nil {
		return nil, c.failed(ctx, command, err)
	}
	line, err := c.reader.ReadBytes('\n')
	if err != nil {
		return nil, c.failed(ctx, command, err)
	}
	var a struct {
		OK     bool            `json:"ok"`
		Result json.RawMessage `json:"result"`
		Error  string          `json:"error"`
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return nil, fmt.Errorf("couldn't read the answer to %q: %w", command, err)
	}
	if !a.OK {
		return nil, errors.New(a.Error)
	}
	return a.Result, nil
}

func (c *Client) failed(ctx context.Context, command string, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("couldn't execute %q: %w", command, err)
}

// Subscribe turns the Client into a stream of events; what is published after
// it returned is not missed. Afterwards only Next and Close may be called.
func (c *Client) Subscribe(ctx context.Context) error {
	_, err := c.Do(ctx, "events")
	return err
}

// Next waits for the next event. Data is a json.RawMessage. io.EOF means that
// the device ended, or cut this reader off for being too slow.
func (c *Client) Next(ctx context.Context) (Event, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	defer stop()
	line, err := c.reader.ReadBytes('\n')
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Event{}, err
	}
	var e struct {
		Event
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return Event{}, fmt.Errorf("couldn't read an event: %w", err)
	}
	return Event{Seq: e.Seq, Name: e.Name, Data: e.Data}, nil
}
