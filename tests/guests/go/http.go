// An HTTP server of Go's library on the listener that is descriptor 3; a request for /quit ends it. It is a program of its
// own because its library takes long to compile.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// listener has the runtime poll the socket, as in waits.go. AS_GIVEN in the environment says that it is one that is polled.
func listener() net.Listener {
	file := os.NewFile(3, "given")
	defer file.Close()
	if os.Getenv("AS_GIVEN") == "" {
		if err := syscall.SetNonblock(3, true); err != nil {
			log.Fatal(err)
		}
	}
	made, err := net.FileListener(file)
	if err != nil {
		log.Fatal(err)
	}
	return made
}

func main() {
	var server http.Server
	over := make(chan error)
	http.HandleFunc("POST /echo", func(answer http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			log.Fatal(err)
		}
		answer.Header().Set("Seen", request.Header.Get("Number"))
		answer.Write(body)
	})
	http.HandleFunc("GET /slowly", func(answer http.ResponseWriter, request *http.Request) {
		for nth := range 5 {
			time.Sleep(10 * time.Millisecond)
			fmt.Fprintln(answer, nth)
			answer.(http.Flusher).Flush()
		}
	})
	http.HandleFunc("GET /quit", func(http.ResponseWriter, *http.Request) {
		go func() { over <- server.Shutdown(context.Background()) }()
	})
	if err := server.Serve(listener()); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	fmt.Println("over", <-over)
}
