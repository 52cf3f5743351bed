//! A bare media server and its load, for measuring what a viewer costs:
//!
//! `load serve 127.0.0.1:1935 127.0.0.1:8080` takes RTMP, and answers `GET /live/{stream}.flv`, letting everybody in.
//! `load rtmp 1000 rtmp://127.0.0.1:1935/live/s` and `load flv 1000 127.0.0.1:8080/live/s.flv` play and count bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use hyper::body::Frame;
use media::hub::{Pace, Settings, Start, Want};
use media::request::{PlayOptions, PublishOptions, Request};
use media::rtmp::client::{Player, Target};
use media::{Hub, Protocol, StreamName, flv, request, rtmp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["serve", rtmp, http] => serve(rtmp, http).await,
        ["rtmp", count, url] => {
            let target = Target::parse(url).ok_or("no rtmp URL")?;
            load(count.parse()?, move || {
                let target = target.clone();
                async move { Ok::<_, Failure>(Player::connect(&target).await?.into_socket()) }
            })
            .await
        }
        ["flv", count, url] => {
            let (address, path) = url.split_once('/').ok_or("address/path expected")?;
            let address = address.to_string();
            let path = path.to_string();
            load(count.parse()?, move || {
                let address = address.clone();
                let path = path.clone();
                async move {
                    let mut socket = TcpStream::connect(&address).await?;
                    socket.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
                    Ok::<_, Failure>(socket)
                }
            })
            .await
        }
        _ => Err("serve RTMP HTTP | rtmp COUNT URL | flv COUNT ADDRESS/PATH".into()),
    }
}

async fn serve(rtmp_address: &str, http_address: &str) -> Result<(), Failure> {
    let hub = Hub::new(Settings::default());
    let (requests, mut inbox) = request::channel(1024, Duration::from_secs(5));
    tokio::spawn(async move {
        while let Some(request) = inbox.recv().await {
            match request {
                Request::Publish(ask) => ask.accept(PublishOptions::default()),
                Request::Play(ask) => ask.accept(PlayOptions::default()),
            }
        }
    });
    let http = axum::Router::new().route("/live/{file}", axum::routing::get(play)).with_state(hub.clone());
    let http_listener = TcpListener::bind(http_address).await?;
    tokio::spawn(async move { axum::serve(http_listener, http).await });
    let listener = TcpListener::bind(rtmp_address).await?;
    rtmp::serve(listener, hub, requests, rtmp::Limits::default(), CancellationToken::new()).await;
    Ok(())
}

async fn play(State(hub): State<Hub>, Path(file): Path<String>) -> axum::response::Response {
    let name = file.strip_suffix(".flv").and_then(|n| StreamName::new(n).ok());
    let Some(name) = name else {
        return axum::http::StatusCode::NOT_FOUND.into_response();
    };
    match hub.wait(&name, Want::new(Protocol::HttpFlv, Pace::Audience, Start::Group), None).await {
        Ok(reader) => {
            let body = axum::body::Body::new(Body(flv::Player::new(reader)));
            ([(axum::http::header::CONTENT_TYPE, flv::CONTENT_TYPE)], body).into_response()
        }
        Err(_) => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}

struct Body(flv::Player);

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_next(cx).map(|block| block.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Opens `count` viewers and says each second what all of them got.
async fn load<F, Fut>(count: usize, open: F) -> Result<(), Failure>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<TcpStream, Failure>> + Send + 'static,
{
    let got = Arc::new(AtomicU64::new(0));
    let open_now = Arc::new(AtomicU64::new(0));
    for _ in 0..count {
        let opening = open();
        let got = Arc::clone(&got);
        let open_now = Arc::clone(&open_now);
        let mut socket = opening.await?;
        open_now.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while let Ok(n) = socket.read(&mut buffer).await {
                if n == 0 {
                    break;
                }
                got.fetch_add(n as u64, Ordering::Relaxed);
            }
            open_now.fetch_sub(1, Ordering::Relaxed);
        });
    }
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = got.load(Ordering::Relaxed);
        println!(
            "{} open, {:.2} Mbit/s each",
            open_now.load(Ordering::Relaxed),
            (now - before) as f64 * 8e-6 / count as f64
        );
        before = now;
    }
}
