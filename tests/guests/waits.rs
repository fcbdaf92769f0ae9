//! A program of Rust's that waits: for timers, clients and lines, with nothing but the standard library.
//!
//!     waits timers   sleeps, and reads both clocks; says what it saw
//!     waits echo N   gives back what N clients send, one after the other, with calls that wait
//!     waits many N   the same for N clients at once, with calls that do not
//!     waits ask      asks its peer until an answer comes in time
//!     waits lines    answers lines of standard input
//!
//! The socket is the last one of those that the environment tells of.

// A socket from a number: stable for other systems, for WASI only in compilers that are newer than Debian's.
#![feature(wasi_ext)]

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::wasi::io::{FromRawFd, RawFd};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_millis(30);

fn given<T: FromRawFd>() -> T {
    let count: RawFd = env::var("LISTEN_FDS")
        .expect("there is a socket")
        .parse()
        .expect("a number");
    // SAFETY: it is asked for once, so nothing else of this program owns the descriptor.
    unsafe { T::from_raw_fd(2 + count) }
}

/// What a call that does not wait gave; None if it had to wait.
fn now<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn timers() -> io::Result<()> {
    let (begin, day) = (Instant::now(), SystemTime::now());
    for _ in 0..10 {
        sleep(SHORT);
    }
    sleep(LONG);
    let least = 10 * SHORT + LONG;
    assert!(begin.elapsed() >= least);
    // The wall clock may be set meanwhile, but hardly by that much.
    let passed = day.elapsed().expect("the wall clock goes on");
    assert!(
        passed >= LONG && passed < LONG + Duration::from_secs(5),
        "{passed:?}"
    );
    println!("slept");

    let until = begin + 4 * LONG;
    sleep(until - Instant::now());
    assert!(Instant::now() >= until);
    println!("until");

    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970");
    println!("{}", since.as_secs());
    Ok(())
}

fn echo(wanted: usize) -> io::Result<()> {
    let listener: TcpListener = given();
    for _ in 0..wanted {
        let (client, _) = listener.accept()?;
        io::copy(&mut &client, &mut &client)?;
    }
    println!("{wanted} clients");
    Ok(())
}

struct Client {
    stream: TcpStream,
    held: Vec<u8>,
    ended: bool,
}

impl Client {
    /// Read if nothing is left to be written, and write. Whether anything happened.
    fn step(&mut self) -> io::Result<bool> {
        if self.held.is_empty() {
            let mut piece = [0; 65536];
            match now(self.stream.read(&mut piece))? {
                Some(0) => {
                    self.ended = true;
                    return Ok(true);
                }
                Some(size) => self.held.extend_from_slice(&piece[..size]),
                None => return Ok(false),
            }
        }
        let written = now(self.stream.write(&self.held))?;
        self.held.drain(..written.unwrap_or(0));
        Ok(written.is_some())
    }
}

fn many(wanted: usize) -> io::Result<()> {
    let listener: TcpListener = given();
    listener.set_nonblocking(true)?;
    let (mut clients, mut accepted) = (Vec::new(), 0);
    while accepted < wanted || !clients.is_empty() {
        let mut idle = true;
        if accepted < wanted {
            if let Some((stream, _)) = now(listener.accept())? {
                stream.set_nonblocking(true)?;
                clients.push(Client {
                    stream,
                    held: Vec::new(),
                    ended: false,
                });
                accepted += 1;
                idle = false;
            }
        }
        for client in &mut clients {
            idle &= !client.step()?;
        }
        clients.retain(|client| !client.ended);
        if idle {
            sleep(SHORT);
        }
    }
    println!("{wanted} clients");
    Ok(())
}

fn ask() -> io::Result<()> {
    let mut peer: TcpStream = given();
    peer.set_nonblocking(true)?;
    peer.write_all(b"a question\n")?;
    let mut answer = Vec::new();
    let mut begin = Instant::now();
    while !answer.ends_with(b"\n") {
        let mut piece = [0; 100];
        match now(peer.read(&mut piece))? {
            Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Some(size) => answer.extend_from_slice(&piece[..size]),
            None => sleep(SHORT),
        }
        if answer.is_empty() && begin.elapsed() >= LONG {
            println!("no answer");
            peer.write_all(b"again\n")?;
            begin = Instant::now();
        }
    }
    io::stdout().write_all(&answer)
}

fn lines() -> io::Result<()> {
    for line in io::stdin().lines() {
        println!("you said: {}", line?);
    }
    println!("bye");
    Ok(())
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["timers"] => timers(),
        ["echo", wanted] => echo(wanted.parse().expect("a number")),
        ["many", wanted] => many(wanted.parse().expect("a number")),
        ["ask"] => ask(),
        ["lines"] => lines(),
        _ => panic!("usage: waits timers|ask|lines, or echo|many N"),
    }
}
