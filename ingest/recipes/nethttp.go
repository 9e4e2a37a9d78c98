// Upload a pair with net/http: nethttp BASE MOMENT TOKEN FRONT BACK.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"strconv"
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

func random(from, to float64) time.Duration {
	return time.Duration((from + rand.Float64()*(to-from)) * float64(time.Second))
}

// form builds the body once, so that every try sends the same bytes. Given a bytes.Reader, net/http sends a
// Content-Length; given an io.Pipe it would send chunks, which get no ticket.
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

// upload returns the final answer; a retry brings the last ticket, and its body only after 100 Continue.
func upload(base, moment, token string, front, back []byte) (int, post, error) {
	body, kind, err := form(front, back)
	if err != nil {
		return 0, post{}, err
	}
	ticket, backoff := "", 0.2
	for left := tries - 1; ; left-- {
		request, err := http.NewRequest("POST", base+"/v1/moments/"+moment+"/posts", bytes.NewReader(body))
		if err != nil {
			return 0, post{}, err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", kind)
		if ticket != "" {
			request.Header.Set("Snapsurge-Ticket", ticket)
			request.Header.Set("Expect", "100-continue")
		}
		status, found, header, err := ask(request)
		if (err == nil && !retried[status]) || left == 0 {
			return status, found, err
		}
		if given := header.Get("Snapsurge-Ticket"); given != "" {
			ticket = given
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

func ask(request *http.Request) (int, post, http.Header, error) {
	answer, err := client.Do(request)
	if err != nil {
		return 0, post{}, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, post{}, nil, err
	}
	var found post
	err = json.Unmarshal(text, &found)
	return answer.StatusCode, found, answer.Header, err
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
		if status, now, _, err := ask(request); err == nil && status == 200 {
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
	status, found, err := upload(base, moment, token, first, second)
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
