// Uses a client that openapi-generator made (go): BASE MOMENT TOKEN FRONT BACK; prints a line for each step.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	snapsurge "example.org/snapsurge"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	words := os.Args[1:]
	settings := snapsurge.NewConfiguration()
	settings.Servers = snapsurge.ServerConfigurations{{URL: words[0]}}
	client := snapsurge.NewAPIClient(settings)
	ctx := context.WithValue(context.Background(), snapsurge.ContextAccessToken, words[2])
	front, back := must(os.Open(words[3])), must(os.Open(words[4]))
	post, answer, err := client.MomentsAPI.Upload(ctx, words[1]).Front(front).Back(back).Meta(`{"caption":"hello"}`).Execute()
	must(post, err)
	fmt.Println(answer.StatusCode, post.Id)
	for post.State == "accepted" {
		post, _, err = client.PostsAPI.GetPost(ctx, post.Id).Wait(3).Execute()
		must(post, err)
	}
	fmt.Println(post.State)
	picture, _, err := client.PostsAPI.GetPhoto(ctx, post.Id, "front", "thumb").Execute()
	start := make([]byte, 2)
	must(io.ReadFull(must(picture, err), start))
	fmt.Println(hex.EncodeToString(start))
	meta, _, err := client.PostsAPI.GetPostMeta(ctx, post.Id).Execute()
	fmt.Println(must(meta, err).(map[string]interface{})["caption"])
	_, _, err = client.PostsAPI.GetPost(ctx, post.Id[:26]+"-no-such-moment").Execute()
	var refused *snapsurge.GenericOpenAPIError
	if errors.As(err, &refused) {
		problem := refused.Model().(snapsurge.Problem)
		fmt.Println(problem.Code)
	}
}
