//! A network that can be broken: forwards bytes to a server, or does to them what networks do.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

/// What happens to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Weather {
    /// They arrive.
    Fair,
    /// They vanish; connections stay.
    Blackhole,
    /// Every connection is cut at once.
    Cut,
    /// Every piece takes this long: a fifth of a second.
    Slow,
    /// The client gets something else.
    Garbage,
}

/// The way to one server.
pub struct TcpProxy {
    pub port: u16,
    weather: Arc<AtomicU8>,
}

impl TcpProxy {
    /// In front of a port of loopback.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = Arc::new(AtomicU8::new(Weather::Fair as u8));
        let seen = Arc::clone(&weather);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                thread::spawn(move || join(client, server, &seen));
            }
        });
        Self { port, weather }
    }

    /// From now on.
    pub fn turn(&self, weather: Weather) {
        self.weather.store(weather as u8, Ordering::SeqCst);
    }
}

fn join(client: TcpStream, server: u16, weather: &Arc<AtomicU8>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
        return;
    };
    let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let seen = Arc::clone(weather);
    thread::spawn(move || forward(back.0, back.1, &seen, true));
    forward(client, server, weather, false);
}

fn forward(mut from: TcpStream, mut to: TcpStream, weather: &AtomicU8, is_answer: bool) {
    let mut bytes = [0; 16_384];
    // So that a connection on which nothing is said is cut as well.
    from.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let is = |one: Weather| weather.load(Ordering::SeqCst) == one as u8;
    loop {
        if is(Weather::Cut) {
            break;
        }
        let length = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => break,
        };
        if is(Weather::Blackhole) {
            continue;
        }
        if is(Weather::Slow) && is_answer {
            thread::sleep(Duration::from_millis(200));
        }
        let sent = if is(Weather::Garbage) && is_answer {
            to.write_all(b"HTTP/1.1 418 I'm a teapot\r\n\r\n")
        } else {
            to.write_all(&bytes[..length])
        };
        if sent.is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
