//! The app's backend, as webhooks see it: checks who calls, and accepts, fails or hangs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use room::Millis;
use serde_json::Value;
use sign::Secret;

use super::until;

pub const SECRET: &str = "a secret of the test's";

/// How a backend treats a request.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    Accepts,
    Fails,
    Hangs,
}

#[derive(Default)]
pub struct Heard {
    pub accepted: Vec<Value>,
    pub refused: usize,
    /// A request as it came, for the documented check.
    pub sample: Option<(String, String)>,
}

/// The app's backend.
pub struct Backend {
    pub at: SocketAddr,
    pub heard: Arc<Mutex<Heard>>,
    mood: Arc<Mutex<Mood>>,
    stop: Arc<Mutex<bool>>,
}

impl Backend {
    pub fn start(at: SocketAddr, heard: Arc<Mutex<Heard>>) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let at = listener.local_addr().unwrap();
        let mood = Arc::new(Mutex::new(Mood::Accepts));
        let stop = Arc::new(Mutex::new(false));
        let backend = Self { at, heard: heard.clone(), mood: mood.clone(), stop: stop.clone() };
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if *stop.lock().unwrap() {
                    return;
                }
                let heard = heard.clone();
                let mood = mood.clone();
                let stop = stop.clone();
                std::thread::spawn(move || serve(socket.unwrap(), &heard, &mood, &stop));
            }
        });
        backend
    }

    pub fn mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn accepted(&self) -> usize {
        self.heard.lock().unwrap().accepted.len()
    }

    /// Each accepted event of this name, once.
    pub fn events(&self, name: &str) -> Vec<Value> {
        let heard = self.heard.lock().unwrap();
        let named = heard.accepted.iter().filter(|event| event["event"] == name);
        let by_id: std::collections::BTreeMap<String, Value> =
            named.map(|event| (event["id"].to_string(), event.clone())).collect();
        by_id.into_values().collect()
    }

    /// Nobody listens any more.
    pub fn stop(&self) {
        *self.stop.lock().unwrap() = true;
        let _ = TcpStream::connect(self.at);
        until("the port is free", || TcpListener::bind(self.at).is_ok());
    }
}

fn serve(socket: TcpStream, heard: &Mutex<Heard>, mood: &Mutex<Mood>, stop: &Mutex<bool>) {
    let mut socket = BufReader::new(socket);
    loop {
        let mut line = String::new();
        let mut length = 0;
        let mut signature = String::new();
        while line != "\r\n" {
            line.clear();
            if socket.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("x-roomservice-signature", value)) => signature = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        socket.read_exact(&mut body).unwrap();
        if *stop.lock().unwrap() {
            return;
        }
        let seconds: u64 = signature[2..].split(',').next().unwrap().parse().unwrap();
        assert_eq!(signature, webhooks::signature(&Secret::new(SECRET), Millis(seconds * 1000), &body));
        let mood = *mood.lock().unwrap();
        let status = {
            let mut heard = heard.lock().unwrap();
            if mood == Mood::Accepts {
                heard.accepted.push(serde_json::from_slice(&body).unwrap());
                heard.sample = Some((signature, String::from_utf8(body).unwrap()));
                "200 OK"
            } else {
                heard.refused += 1;
                "500 Internal Server Error"
            }
        };
        if mood == Mood::Hangs {
            // As long as the server waits.
            let _ = socket.read(&mut [0]);
            return;
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        if socket.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
