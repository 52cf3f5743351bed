//! Webhooks over the internet, by the client that all calls to other services go through.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, header::HeaderName};

use super::Settings;
use super::{Answered, Post, Posted};
use outbound::{Call, Client, Failed, Internet};

impl Settings {
    /// The client that trusts whom these settings name.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub fn client(&self) -> Result<Client, String> {
        if self.ca.as_os_str().is_empty() {
            return Ok(Client::default());
        }
        let wrong = |why| format!("webhooks.ca = \"{}\" cannot be used: {why}", self.ca.display());
        Internet::trusting(&self.ca).map(Client::new).map_err(wrong)
    }
}

impl Post for Client {
    fn post(&self, url: &str, headers: &[(&'static str, String)], body: Bytes, within: Duration) -> Posted {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone())).collect();
        let call = Call { method: Method::POST, url: url.to_owned(), headers, body, within };
        let client = self.clone();
        Box::pin(async move {
            match client.accepted(call).await {
                Ok((status, body)) => Ok(Answered { status: status.as_u16(), body }),
                Err(Failed::Status(status)) => Ok(Answered { status, body: Bytes::new() }),
                Err(other) => Err(other.to_string()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_backend_says_yes_in_any_way_or_no() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let backend = tokio::spawn(async move {
            let mut asked = Vec::new();
            for (status, body) in [("204 No Content", ""), ("503 Service Unavailable", ""), ("202 Accepted", "no")] {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"{\"id\":1}") {
                    assert!(socket.read_buf(&mut request).await.unwrap() > 0);
                }
                asked.push(String::from_utf8(request).unwrap());
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        let client = Client::default();
        let headers = [("x-roomservice-signature", "t=1,v1=00".to_owned())];
        let post = || client.post(&url, &headers, Bytes::from_static(b"{\"id\":1}"), Duration::from_secs(10));
        let status = async || post().await.map(|answered| answered.status);
        assert_eq!((status().await, status().await), (Ok(204), Ok(503)));
        assert_eq!(post().await, Ok(Answered { status: 202, body: "no".into() }), "what any 2xx says is heard");
        let asked = backend.await.unwrap();
        assert!(asked[0].starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{}", asked[0]);
        assert!(asked[0].contains("x-roomservice-signature: t=1,v1=00\r\n"), "{}", asked[0]);
        let agent = concat!("user-agent: roomservice/", env!("CARGO_PKG_VERSION"), "\r\n");
        assert!(asked[0].contains(agent), "{}", asked[0]);
        assert!(post().await.is_err(), "nobody listens any more");
    }

    /// A certificate for 127.0.0.1 and the authority that signed it.
    fn certificates() -> (rustls::ServerConfig, String) {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new([]).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &rcgen::Issuer::new(authority, authority_key)).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        (config.unwrap().with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap(), pem)
    }

    #[tokio::test]
    async fn a_backend_inside_a_company_is_trusted_by_its_own_authority() {
        let (config, authority) = certificates();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://user:hunter2@{}/hook", listener.local_addr().unwrap());
        let backend = tokio::spawn(async move {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                // Who does not trust it goes away.
                let Ok(mut socket) = acceptor.accept(socket).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"{}") {
                    assert!(socket.read_buf(&mut request).await.unwrap() > 0);
                }
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                socket.write_all(answer.as_bytes()).await.unwrap();
                return String::from_utf8(request).unwrap();
            }
        });
        let post = |client: Client| client.post(&url, &[], Bytes::from_static(b"{}"), Duration::from_secs(10));
        let mut settings = Settings::default();
        let refused = post(settings.client().unwrap()).await.unwrap_err();
        assert!(refused.contains("certificate") && !refused.contains("hunter2"), "{refused}");
        let dir = tempfile::tempdir().unwrap();
        settings.ca = dir.path().join("ca.pem");
        for wrong in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")] {
            if let Some(text) = wrong {
                std::fs::write(&settings.ca, text).unwrap();
            }
            let mut found = Vec::new();
            settings.problems(&mut found);
            assert!(found[0].starts_with("webhooks.ca = ") && found.len() == 1, "{wrong:?}: {found:?}");
        }
        std::fs::write(&settings.ca, authority).unwrap();
        assert_eq!(post(settings.client().unwrap()).await.map(|answered| answered.status), Ok(200));
        let asked = backend.await.unwrap();
        assert!(asked.contains("authorization: Basic dXNlcjpodW50ZXIy\r\n"), "{asked}");
        assert!(asked.starts_with("POST /hook HTTP/1.1\r\n") && !asked.contains("user:"), "{asked}");
    }
}
