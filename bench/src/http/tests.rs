//! The ring against a little server that answers from the request itself.

use super::*;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Answers every request with its own target; targets that hold `bad` are refused. In two writes when `torn`.
fn echo_server(torn: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let count = count.clone();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                loop {
                    let n = stream.read(&mut buffer).unwrap();
                    if n == 0 {
                        return;
                    }
                    let text = std::str::from_utf8(&buffer[..n]).unwrap();
                    let target = text.split(' ').nth(1).unwrap();
                    let code = if target.contains("bad") { 7 } else { 0 };
                    let body = format!("{{\"code\":{code},\"target\":\"{target}\"}}");
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: a\r\nContent-length: {}\r\n\r\n", body.len());
                    count.fetch_add(1, Ordering::SeqCst);
                    if torn {
                        let (left, right) = head.split_at(head.len() - 2);
                        stream.write_all(left.as_bytes()).unwrap();
                        stream.write_all(right.as_bytes()).unwrap();
                        stream.write_all(body.as_bytes()).unwrap();
                    } else {
                        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
                    }
                }
            });
        }
    });
    (address, served)
}

#[test]
fn every_request_is_sent_once_and_answered_in_order() {
    for torn in [false, true] {
        let (address, served) = echo_server(torn);
        for (connections, count) in [(1, 5), (8, 3), (8, 8), (8, 21), (4, 0)] {
            let before = served.load(Ordering::SeqCst);
            let mut seen = Vec::new();
            let requests = (0..count).map(|n| get(address, &format!("/{n}")));
            fetch_all(address, connections, requests, |reply| {
                seen.push(reply.json()?["target"].as_str().unwrap().to_owned());
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, (0..count).map(|n| format!("/{n}")).collect::<Vec<_>>());
            assert_eq!(served.load(Ordering::SeqCst) - before, count);
        }
    }
}

#[test]
fn a_slice_counts_answers_and_refusals() {
    let (address, served) = echo_server(false);
    let requests = vec![post(address, "/good", "{}"), post(address, "/bad", "{}")];
    let mut load = Load::new(address, 1, requests, 2).unwrap();
    let slice = load.run(Duration::ZERO).unwrap();
    assert_eq!(slice, Slice { answered: 1, refused: 0 });
    let slice = load.run(Duration::ZERO).unwrap();
    assert_eq!(slice, Slice { answered: 1, refused: 1 }, "goes on where it stopped");
    let slice = load.run(Duration::from_millis(20)).unwrap();
    assert!(slice.answered > 2 && slice.refused.abs_diff(slice.answered / 2) <= 1, "{slice:?}");
    assert_eq!(served.load(Ordering::SeqCst) as u64, slice.answered + 2);
}

#[test]
fn groups_stay_on_one_lane() {
    let (address, _) = echo_server(false);
    let requests = (0..12u8).map(|n| vec![n]).collect();
    let load = Load::new(address, 3, requests, 2).unwrap();
    let lanes: Vec<Vec<u8>> = load.lanes.iter().map(|lane| lane.requests.concat()).collect();
    assert_eq!(lanes, [vec![0, 1, 6, 7], vec![2, 3, 8, 9], vec![4, 5, 10, 11]]);
}

#[test]
fn replies_out_of_form_are_failures() {
    for reply in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "nonsense\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = thread::spawn(move || listener.accept().unwrap().0.write_all(reply.as_bytes()).unwrap());
        let mut connection = Connection::open(address).unwrap();
        assert!(connection.receive().is_err(), "{reply}");
        peer.join().unwrap();
    }
}

#[test]
fn a_reply_longer_than_the_buffer_is_read_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peer = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let body = format!("{{\"code\":0,\"pad\":\"{}\"}}", "x".repeat(100_000));
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes())
            .unwrap();
    });
    let mut connection = Connection::open(address).unwrap();
    let reply = connection.receive().unwrap();
    assert!(reply.is_ok());
    assert_eq!(reply.json().unwrap()["pad"].as_str().unwrap().len(), 100_000);
    peer.join().unwrap();
}
