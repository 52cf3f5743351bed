//! Prints what each operation of this crate costs: `cargo run --release -p sign --example timing`.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use sign::stream_url::{Query, StreamUrl};
use sign::token::{self, Generation, Keyring, Purpose};
use sign::usersig::{self, Expected, Grant, Keys, v1, v2};
use sign::{Secret, push_url, room_key, tc3};
use std::hint::black_box;
use std::time::{Duration, Instant};

const NOW: u64 = 1_700_000_000;
const APP: u64 = 1_400_000_000;

/// The best of five rounds of 100 ms: other work on the machine only ever adds.
fn time<T>(name: &str, mut operation: impl FnMut() -> T) {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let mut count = 0_u32;
        while start.elapsed() < Duration::from_millis(100) {
            for _ in 0..16 {
                black_box(operation());
            }
            count += 16;
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(count));
    }
    println!("{name:<44} {best:>9.0} ns");
}

fn main() {
    let vectors = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let v1_vectors = vectors(include_str!("../tests/vectors/usersig_v1.json"));
    let v2_vectors = vectors(include_str!("../tests/vectors/usersig_v2.json"));
    let expected = Expected { sdk_app_id: APP, user_id: "xiaojun", account_type: None, now: NOW };
    let grant = Grant { sdk_app_id: APP, user_id: "xiaojun", issued_at: NOW, lifetime: 15_552_000, userbuf: None };

    let vector = &v2_vectors["vectors"][0];
    let secret = Secret::from(vector["input"]["key"].as_str().unwrap());
    let v2_key = v2::Key::new(&secret).unwrap();
    let keys = Keys::new(None, None, Some(v2_key.clone())).unwrap();
    let compressed = vector["output_node_1_0_2"].as_str().unwrap();
    time("userSig 2: verify, compressed", || usersig::verify(compressed, &keys, &expected).unwrap());
    let stored = v2::sign(&v2_key, &grant).unwrap();
    time("userSig 2: verify, stored (as we sign)", || usersig::verify(&stored, &keys, &expected).unwrap());
    time("userSig 2: sign", || v2::sign(&v2_key, &grant).unwrap());

    for (kind, index) in [("P-256", 0), ("secp256k1", 2), ("RSA-2048", 3)] {
        let vector = &v1_vectors["self_made"][index];
        let private = v1::PrivateKey::from_pem(vector["private_key_pem_pkcs8"].as_str().unwrap()).unwrap();
        let keys = Keys::new(Some(private), None, None).unwrap();
        let text = vector["usersig"].as_str().unwrap();
        time(&format!("userSig 1: verify, {kind}"), || usersig::verify(text, &keys, &expected).unwrap());
        time(&format!("userSig 1: sign, {kind}"), || keys.sign(&grant, "0").unwrap());
    }

    // 4 MB of zeros behind 8 KiB of text.
    let bomb = bomb();
    time("userSig: refuse a bomb", || usersig::verify(&bomb, &keys, &expected).unwrap_err());

    let room_key = room_key::RoomKey {
        user_id: "xiaojun".to_owned(),
        sdk_app_id: 1_400_000_000,
        room: room_key::Room::Number(10_000),
        expires_at: 1_715_552_000,
        privileges: room_key::EVERYTHING,
        account_type: 0,
    };
    time("privateMapKey 2: sign", || room_key.sign_v2(&v2_key, NOW).unwrap());

    tokens(&secret);
    urls(&secret);
    tencent_calls(secret);
}

fn tokens(secret: &Secret) {
    let keyring = Keyring::new(secret, &[]).unwrap();
    let claims = token::Claims {
        user_id: "user_7a7413d1_4414".to_owned(),
        session: 1,
        generation: Generation::First,
        issued_at: NOW,
        expires_at: NOW + 60,
    };
    let session = token::issue(&keyring, Purpose::Session, &claims).unwrap();
    time("token: issue", || token::issue(&keyring, Purpose::Session, &claims).unwrap());
    time("token: verify", || token::verify(&keyring, Purpose::Session, &session, NOW).unwrap());
}

fn urls(secret: &Secret) {
    for algorithm in [push_url::Algorithm::Md5, push_url::Algorithm::Sha256] {
        time(&format!("txSecret {algorithm:?}: sign"), || push_url::sign(algorithm, secret, "5000_room1_user1", NOW));
        let query = push_url::sign(algorithm, secret, "5000_room1_user1", NOW);
        time(&format!("txSecret {algorithm:?}: read query and verify"), || {
            let query = Query::parse(&query).unwrap();
            push_url::verify("5000_room1_user1", &query, &[secret], NOW..=NOW).unwrap()
        });
    }
    let url = "rtmp://5000.livepush.myqcloud.com/live/5000_room1_user1?bizid=5000&txSecret=ab&txTime=5C27";
    time("stream URL: read", || StreamUrl::parse(url).unwrap());
}

fn tencent_calls(secret: Secret) {
    let signer = tc3::Signer::new("AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", secret, "live");
    let call = tc3::Call {
        method: "POST",
        host: "live.tencentcloudapi.com",
        query: "",
        content_type: tc3::JSON,
        signed_action: Some("DescribeLiveStreamState"),
        body: br#"{"DomainName":"5000.livepush.myqcloud.com","AppName":"live"}"#,
        timestamp: NOW,
    };
    time("TC3: sign", || signer.sign(&call).unwrap());
}

fn bomb() -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use std::io::Write;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(&vec![0; 4_000_000]).unwrap();
    STANDARD.encode(zlib.finish().unwrap())
}
