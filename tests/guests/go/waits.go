// A program of Go's that waits: for timers, clients and lines, each in a goroutine of its own. Go's runtime waits for all
// of them in one poll_oneoff, so nothing of a host may wait by itself meanwhile.
//
//	waits timers   sleeps, tickers, timeouts and deadlines; says what it saw
//	waits echo N   gives back what N clients send, all at once
//	waits ask      asks its peer until an answer comes in time
//	waits lines    answers lines of standard input, and says every 20 ms how often it was alive
//
// The socket is the last one of those that the environment tells of.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// polled gives the socket to one of package net's functions, as one that the runtime polls: it would otherwise wait in
// sock_accept or fd_read itself, and no other goroutine would run. AS_GIVEN in the environment says that it is one.
func polled[T any](take func(*os.File) (T, error)) T {
	given := 2 + number(os.Getenv("LISTEN_FDS"))
	file := os.NewFile(uintptr(given), "given")
	defer file.Close()
	if os.Getenv("AS_GIVEN") == "" {
		if err := syscall.SetNonblock(given, true); err != nil {
			log.Fatal(err)
		}
	}
	taken, err := take(file)
	if err != nil {
		log.Fatal(err)
	}
	return taken
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// check ends the program unless something took at least as long as it should have.
func check(what string, begin time.Time, least time.Duration) {
	if took := time.Since(begin); took < least {
		log.Fatalf("%s took %v, less than %v", what, took, least)
	}
	fmt.Println(what)
}

func timers() {
	begin := time.Now()
	time.Sleep(20 * time.Millisecond)
	check("slept", begin, 20*time.Millisecond)

	begin = time.Now()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { time.Sleep(50 * time.Millisecond) })
	}
	all.Wait()
	if took := time.Since(begin); took > 3*time.Second {
		log.Fatalf("100 sleeps of 50 ms took %v: they were not at once", took)
	}
	check("slept 100 times", begin, 50*time.Millisecond)

	begin = time.Now()
	ticker := time.NewTicker(10 * time.Millisecond)
	for range 3 {
		<-ticker.C
	}
	ticker.Stop()
	check("ticked", begin, 30*time.Millisecond)

	begin = time.Now()
	never := make(chan bool)
	select {
	case <-never:
	case <-time.After(20 * time.Millisecond):
		check("nothing came", begin, 20*time.Millisecond)
	}

	begin = time.Now()
	limited, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	select {
	case <-limited.Done():
		check(limited.Err().Error(), begin, 30*time.Millisecond)
	case <-never:
	}

	begin = time.Now()
	called := make(chan bool)
	stopped := time.AfterFunc(time.Hour, func() { called <- false })
	fmt.Println(stopped.Stop())
	time.AfterFunc(5*time.Millisecond, func() { called <- true })
	fmt.Println(<-called)
	check("called", begin, 5*time.Millisecond)
}

func echo(wanted int) {
	clients := polled(net.FileListener)
	var all sync.WaitGroup
	for range wanted {
		client, err := clients.Accept()
		if err != nil {
			log.Fatal(err)
		}
		all.Go(func() {
			if _, err := io.Copy(client, client); err != nil {
				log.Fatal(err)
			}
			client.Close()
		})
	}
	all.Wait()
	fmt.Println(wanted, "clients")
}

func ask() {
	peer := polled(net.FileConn)
	fmt.Fprintln(peer, "a question")
	answers := bufio.NewReader(peer)
	for {
		begin := time.Now()
		peer.SetReadDeadline(begin.Add(30 * time.Millisecond))
		answer, err := answers.ReadString('\n')
		if err == nil {
			fmt.Print(answer)
			return
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			log.Fatal(err)
		}
		check("no answer", begin, 30*time.Millisecond)
		fmt.Fprintln(peer, "again")
	}
}

func lines() {
	read := make(chan string)
	go func() {
		for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
			read <- scanner.Text()
		}
		close(read)
	}()
	alive := 0
	for ticks := time.Tick(20 * time.Millisecond); ; {
		select {
		case <-ticks:
			alive++
			fmt.Println("alive", alive)
		case line, more := <-read:
			if !more {
				fmt.Println("bye")
				return
			}
			fmt.Println("you said:", line)
		}
	}
}

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "timers":
		timers()
	case len(os.Args) == 3 && os.Args[1] == "echo":
		echo(number(os.Args[2]))
	case len(os.Args) == 2 && os.Args[1] == "ask":
		ask()
	case len(os.Args) == 2 && os.Args[1] == "lines":
		lines()
	default:
		log.Fatal("usage: waits timers|ask|lines, or echo N")
	}
}
