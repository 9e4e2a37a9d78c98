// Upload a pair with net/http and resume after a break: resume BASE MOMENT TOKEN FRONT BACK (Go 1.24 or newer).
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const tries = 12

var retried = map[int]bool{408: true, 429: true, 502: true, 503: true, 504: true, 507: true}

// A body is sent with Expect after 100 Continue, or when the server has said nothing for this time.
var client = &http.Client{
	Timeout:   5 * time.Minute,
	Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ExpectContinueTimeout: 10 * time.Second},
}

type post struct {
	ID, State, Code string
	ReceivedAt      string `json:"received_at"`
	Links           map[string]string
}

// An upload's body never changes. `location` is where what has arrived of it is, once a 104 has told.
type upload struct {
	base, moment, token, kind string
	body                      []byte
	told                      sync.Mutex // net/http reads interim answers in a goroutine of its own
	location, ticket          string
}

func random(from, to float64) time.Duration {
	return time.Duration((from + rand.Float64()*(to-from)) * float64(time.Second))
}

// form builds the body once: every try sends the same bytes, or the rest of them.
func form(front, back []byte) ([]byte, string, error) {
	var body bytes.Buffer
	writer := multipart.NewWriter(&body)
	for name, photo := range map[string][]byte{"front": front, "back": back} {
		part, err := writer.CreateFormFile(name, name+".jpg")
		if err != nil {
			return nil, "", err
		}
		if _, err := part.Write(photo); err != nil {
			return nil, "", err
		}
	}
	err := writer.Close()
	return body.Bytes(), writer.FormDataContentType(), err
}

// remember keeps what an interim or final answer tells.
func (u *upload) remember(status int, header http.Header) {
	u.told.Lock()
	defer u.told.Unlock()
	if given := header.Get("Snapsurge-Ticket"); given != "" {
		u.ticket = given
	}
	// Only a path: no answer sends the token to another server.
	if given := header.Get("Location"); status == 104 && strings.HasPrefix(given, "/") {
		u.location = given
	}
	if status == 404 {
		u.location = "" // what had arrived is gone: begin anew
	}
}

func (u *upload) known() (string, string) {
	u.told.Lock()
	defer u.told.Unlock()
	return u.location, u.ticket
}

// once brings the upload as far as one connection lasts: all of the body, or what the server does not have of it.
func (u *upload) once() (int, post, http.Header, error) {
	location, ticket := u.known()
	if location == "" {
		sum := sha256.Sum256(u.body)
		fields := map[string]string{
			"Content-Type": u.kind,
			"Repr-Digest":  "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":",
		}
		if ticket != "" {
			fields["Snapsurge-Ticket"], fields["Expect"] = ticket, "100-continue"
		}
		return u.ask("POST", "/v1/moments/"+u.moment+"/posts", u.body, true, fields)
	}
	status, found, header, err := u.ask("HEAD", location, nil, false, nil)
	if err != nil || status != 204 {
		return status, found, header, err
	}
	offset, err := strconv.Atoi(header.Get("Upload-Offset"))
	if err != nil || offset > len(u.body) {
		return 0, post{}, nil, fmt.Errorf("no offset: %q", header.Get("Upload-Offset"))
	}
	fields := map[string]string{
		"Content-Type":  "application/partial-upload",
		"Upload-Offset": strconv.Itoa(offset),
	}
	return u.ask("PATCH", location, u.body[offset:], true, fields)
}

func (u *upload) ask(
	method, path string, body []byte, all bool, fields map[string]string,
) (int, post, http.Header, error) {
	request, err := http.NewRequest(method, u.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, post{}, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+u.token)
	request.Header.Set("Upload-Draft-Interop-Version", "8")
	if all {
		request.Header.Set("Upload-Complete", "?1")
	}
	for name, value := range fields {
		request.Header.Set(name, value)
	}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
		u.remember(status, http.Header(header))
		return nil
	}}
	status, found, header, err := send(request.WithContext(httptrace.WithClientTrace(request.Context(), trace)))
	if err == nil {
		u.remember(status, header)
	}
	return status, found, header, err
}

func send(request *http.Request) (int, post, http.Header, error) {
	answer, err := client.Do(request)
	if err != nil {
		return 0, post{}, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || len(text) == 0 {
		return answer.StatusCode, post{}, answer.Header, err
	}
	var found post
	err = json.Unmarshal(text, &found)
	return answer.StatusCode, found, answer.Header, err
}

// finish returns the final answer. Between two tries it waits as long as the server asks, or ever longer.
func (u *upload) finish() (int, post, error) {
	backoff := 0.2
	for left := tries - 1; ; left-- {
		before, _ := u.known()
		status, found, header, err := u.once()
		after, _ := u.known()
		// Of an upload that was begun: gone (begin anew), or another offset than was sent (ask again), unless it ended.
		moved := (status == 404 || status == 409 && header.Get("Upload-Complete") != "?1") && before+after != ""
		if (err == nil && !retried[status] && !moved) || left == 0 {
			return status, found, err
		}
		wait := random(0.1, backoff)
		if asked, err := strconv.Atoi(header.Get("Retry-After")); err == nil {
			wait = random(float64(asked), float64(asked)*1.1)
		} else {
			backoff = min(backoff*2, 5)
		}
		time.Sleep(wait)
	}
}

// settled returns the post when it is ready or rejected, or as it is when patience ends.
func settled(base, token string, found post, patience time.Duration) post {
	for ends := time.Now().Add(patience); found.State == "accepted" && time.Now().Before(ends); {
		began := time.Now()
		request, err := http.NewRequest("GET", base+found.Links["self"]+"?wait=25", nil)
		if err != nil {
			break
		}
		request.Header.Set("Authorization", "Bearer "+token)
		if status, now, _, err := send(request); err == nil && status == 200 {
			found = now
		}
		if found.State == "accepted" && time.Since(began) < 20*time.Second {
			time.Sleep(time.Second)
		}
	}
	return found
}

func run(base, moment, token, front, back string) error {
	first, err := os.ReadFile(front)
	if err != nil {
		return err
	}
	second, err := os.ReadFile(back)
	if err != nil {
		return err
	}
	body, kind, err := form(first, second)
	if err != nil {
		return err
	}
	all := &upload{base: base, moment: moment, token: token, kind: kind, body: body}
	status, found, err := all.finish()
	if err != nil {
		return err
	}
	if status >= 400 {
		fmt.Println(status, found.Code)
		os.Exit(1)
	}
	fmt.Println(status, found.ID, found.ReceivedAt)
	fmt.Println(settled(base, token, found, 5*time.Minute).State)
	return nil
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
