//! The player against a hand-made server that says what real ones say, in chunks of its own size.

use super::*;
use tokio::net::TcpListener;

#[test]
fn addresses() {
    let address = Address::parse("rtmp://127.0.0.1:1935/live/8525_r_u?bizid=8525&txSecret=a/b").unwrap();
    let parts = (address.host.as_str(), address.app.as_str(), address.stream.as_str());
    assert_eq!(parts, ("127.0.0.1:1935", "live", "8525_r_u?bizid=8525&txSecret=a/b"));
    assert_eq!(Address::parse("rtmp://host/live/s").unwrap().host, "host:1935");
    for bad in ["http://h/live/s", "rtmp://h/live", "rtmp://h/live/"] {
        assert!(Address::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn amf_is_what_the_specification_says() {
    assert_eq!(create_stream(), b"\x02\x00\x0ccreateStream\x00\x40\x00\x00\x00\x00\x00\x00\x00\x05");
    let play = play("s?a=b");
    let (name, transaction, arguments) = command(&play).unwrap();
    assert_eq!((name, transaction), (&b"play"[..], 3.0));
    assert!(arguments.starts_with(b"\x05\x02\x00\x05s?a=b\x00"));
    let connect = connect("live", "rtmp://h/live");
    assert!(connect.ends_with(b"\x00\x05tcUrl\x02\x00\x0drtmp://h/live\x00\x00\x09"));
}

#[test]
fn damaged_commands_are_not_understood() {
    let whole = Amf::default().text("_result").number(2.0).null().number(1.0).0;
    assert_eq!(stream_id(&whole), Some(1));
    for cut in 0..whole.len() {
        assert_eq!(stream_id(&whole[..cut]), None, "{cut}");
    }
}

/// Splits a message into chunks of `size`.
fn chunked(chunk_stream: u8, kind: u8, payload: &[u8], size: usize) -> Vec<u8> {
    let whole = message(chunk_stream, kind, 0, payload);
    let (head, payload) = whole.split_at(12);
    let mut bytes = head.to_vec();
    for (n, part) in payload.chunks(size).enumerate() {
        if n > 0 {
            bytes.push(0xc0 | chunk_stream);
        }
        bytes.extend_from_slice(part);
    }
    bytes
}

fn status(level: &str, code: &str) -> Vec<u8> {
    let mut amf = Amf::default().text("onStatus").number(0.0).null();
    amf.0.push(3);
    amf = amf.key("level").text(level).key("code").text(code).key("description").text(&"long ".repeat(40));
    amf.0.extend_from_slice(&[0, 0, 9]);
    amf.0
}

/// Answers one player up to `play`, then says `said` and sends `media`. Gives the name that was asked for and
/// all that came afterwards.
async fn stand_in(listener: TcpListener, said: Vec<u8>, media: usize) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut hello = vec![0; 1537];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(hello[0], 3);
    let s1 = vec![7; HANDSHAKE];
    let mut c2 = vec![0; HANDSHAKE];
    stream.write_all(&[&[3][..], &s1, &hello[1..]].concat()).await.unwrap();
    stream.read_exact(&mut c2).await.unwrap();
    assert_eq!(c2, s1);

    let mut chunks = Chunks::new(stream);
    let (_, connect) = chunks.next().await.unwrap();
    assert_eq!(command(&connect).unwrap().0, b"connect");
    let result = Amf::default().text("_result").number(1.0).null().text(&"x".repeat(300)).0;
    let start = [
        chunked(2, WINDOW_SIZE, &1000u32.to_be_bytes(), 128),
        chunked(2, SET_CHUNK_SIZE, &60u32.to_be_bytes(), 128),
        chunked(3, COMMAND, &result, 60),
    ];
    chunks.stream.write_all(&start.concat()).await.unwrap();
    let (_, create) = chunks.next().await.unwrap();
    assert_eq!(create, create_stream());
    let created = Amf::default().text("_result").number(2.0).null().number(1.0).0;
    chunks.stream.write_all(&chunked(3, COMMAND, &created, 60)).await.unwrap();
    let (_, asked) = chunks.next().await.unwrap();
    let (name, _, arguments) = command(&asked).unwrap();
    assert_eq!(name, b"play");
    let name = String::from_utf8(arguments[4..arguments.len() - 9].to_vec()).unwrap();
    chunks.stream.write_all(&chunked(5, COMMAND, &said, 60)).await.unwrap();
    chunks.stream.write_all(&vec![0; media]).await.unwrap();
    chunks.stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    chunks.stream.read_to_end(&mut rest).await.unwrap();
    (name, rest)
}

#[tokio::test]
async fn it_plays_counts_and_acknowledges() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/cam?txSecret=1", listener.local_addr().unwrap());
    let server = tokio::spawn(stand_in(listener, status("status", "NetStream.Play.Start"), 5000));
    let mut player = Player::play(&Address::parse(&url).unwrap()).await.unwrap();
    let mut total = 0;
    let mut buffer = [0; 512];
    loop {
        match player.discard(&mut buffer).await.unwrap() {
            0 => break,
            n => total += n,
        }
    }
    assert_eq!(total, 5000);
    drop(player);
    let (name, acknowledged) = server.await.unwrap();
    assert_eq!(name, "cam?txSecret=1");
    assert!(acknowledged.len() >= 16 && acknowledged.len().is_multiple_of(16), "{}", acknowledged.len());
    assert_eq!(acknowledged[7], ACKNOWLEDGEMENT);
}

#[tokio::test]
async fn a_refusal_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/cam", listener.local_addr().unwrap());
    tokio::spawn(stand_in(listener, status("error", "NetStream.Play.Failed"), 0));
    let why = Player::play(&Address::parse(&url).unwrap()).await.err().unwrap().to_string();
    assert!(why.contains("NetStream.Play.Failed"), "{why}");
}
