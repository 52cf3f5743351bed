//! Calls that are traced, from the header to the collector.

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
async fn a_call_goes_into_its_callers_trace() {
    let collector = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", collector.local_addr().unwrap());
    let kit = Kit::with(|settings| settings.traces.endpoint = endpoint, |_| {}).await;
    let request = axum::http::Request::get("/weapp/utils/get_login_info?userID=alice")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    assert_eq!(kit.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    let (mut socket, _) = collector.accept().await.unwrap();
    let mut told = Vec::new();
    while !told.ends_with(b"]}]}") {
        assert!(socket.read_buf(&mut told).await.unwrap() > 0, "{}", String::from_utf8_lossy(&told));
    }
    let told = String::from_utf8(told).unwrap();
    for part in
        ["\"name\":\"get_login_info\"", "4bf92f3577b34da6a3ce929d0e0e4736", "\"parentSpanId\":\"00f067aa0ba902b7\""]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("alice"), "{told}");
}
