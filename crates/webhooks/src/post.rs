//! Webhooks over the internet, by the client that all calls to other services go through.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, header::HeaderName};

use super::{Answered, Post, Posted};
use outbound::{Call, Client, Failed};

impl Post for Client {
    fn post(&self, url: &str, headers: &[(&'static str, String)], body: Bytes, within: Duration) -> Posted {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone())).collect();
        let call = Call { method: Method::POST, url: url.to_owned(), headers, body, within };
        let client = self.clone();
        Box::pin(async move {
            match client.send(call).await {
                Ok(body) => Ok(Answered { status: 200, body }),
                Err(Failed::Status(status)) => Ok(Answered { status, body: Bytes::new() }),
                Err(other) => Err(other.to_string()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_backend_says_yes_in_any_way_or_no() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let backend = tokio::spawn(async move {
            let mut asked = Vec::new();
            for status in ["204 No Content", "503 Service Unavailable"] {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"{\"id\":1}") {
                    assert!(socket.read_buf(&mut request).await.unwrap() > 0);
                }
                asked.push(String::from_utf8(request).unwrap());
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        let client = Client::default();
        let headers = [("x-roomservice-signature", "t=1,v1=00".to_owned())];
        let post = || client.post(&url, &headers, Bytes::from_static(b"{\"id\":1}"), Duration::from_secs(10));
        let status = async || post().await.map(|answered| answered.status);
        assert_eq!((status().await, status().await), (Ok(204), Ok(503)));
        let asked = backend.await.unwrap();
        assert!(asked[0].starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{}", asked[0]);
        assert!(asked[0].contains("x-roomservice-signature: t=1,v1=00\r\n"), "{}", asked[0]);
        assert!(post().await.is_err(), "nobody listens any more");
    }
}
