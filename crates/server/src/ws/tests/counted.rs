//! WebSockets are connections like others: of their address, and of all.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::World;

/// What a client of an address hears when it asks for a WebSocket, and its connection.
async fn upgraded(world: &World, address: &str, user: &str) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(world.at).await.unwrap();
    let token = world.token(user);
    let head = format!(
        "PROXY TCP4 {address} 127.0.0.1 1000 80\r\nGET /ws?userID={user}&token={token} HTTP/1.1\r\nHost: x\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut said = vec![0; 12];
    let read = tokio::time::timeout(Duration::from_secs(1), socket.read_exact(&mut said)).await;
    let said = match read {
        Ok(Ok(_)) => String::from_utf8(said).unwrap(),
        Ok(Err(_)) => "closed".into(),
        Err(_) => "waits".into(),
    };
    (socket, said)
}

const IN: &str = "HTTP/1.1 101";

#[tokio::test(flavor = "multi_thread")]
async fn an_address_holds_so_many_websockets_and_all_together_so_many() {
    let world = World::with(|settings| {
        settings.http.proxy_protocol = true;
        settings.http.max_connections = 4;
        settings.limits.address_connections = 2;
    })
    .await;
    let (first, said) = upgraded(&world, "203.0.113.1", "a").await;
    assert_eq!(said, IN);
    let (_second, said) = upgraded(&world, "203.0.113.1", "b").await;
    assert_eq!(said, IN);
    let count = || world.server.app.metrics.connections.read().0;
    assert_eq!(count(), 2);
    assert_eq!(upgraded(&world, "203.0.113.1", "c").await.1, "closed");
    drop(first);
    let mut again = String::new();
    let mut kept = None;
    for _ in 0..50 {
        let (socket, said) = upgraded(&world, "203.0.113.1", "c").await;
        again = said;
        if again == IN {
            kept = Some(socket);
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(again == IN && kept.is_some(), "one went, so another comes: {again}");
    let (third, said) = upgraded(&world, "203.0.113.2", "d").await;
    assert_eq!(said, IN);
    let (_fourth, said) = upgraded(&world, "203.0.113.3", "e").await;
    assert_eq!(said, IN);
    let (mut fifth, said) = upgraded(&world, "203.0.113.4", "f").await;
    assert_eq!((said.as_str(), count()), ("waits", 4));
    drop(third);
    let mut said = [0; 12];
    tokio::time::timeout(Duration::from_secs(10), fifth.read_exact(&mut said)).await.unwrap().unwrap();
    assert_eq!(said, IN.as_bytes());
    world.stop().await;
}
