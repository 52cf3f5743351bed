//! What is kept and when it is renewed, on a clock of the test. Orders at a real authority: `crates/server/tests/programs/acme.rs`.

use std::os::unix::fs::PermissionsExt;

use super::*;
use store::clock;

fn settings(domains: &[&str]) -> Settings {
    Settings { domains: domains.iter().map(|d| (*d).to_owned()).collect(), terms_agreed: true, ..Settings::default() }
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let problems = |set: &dyn Fn(&mut Settings), redirects| {
        let mut settings = settings(&["live.example.org"]);
        let mut found = Vec::new();
        set(&mut settings);
        settings.problems(redirects, &mut found);
        found.len()
    };
    assert_eq!(problems(&|_| {}, false), 0);
    assert_eq!(problems(&|s| *s = Settings::default(), false), 0, "off by default");
    assert_eq!(problems(&|s| s.terms_agreed = false, false), 1);
    assert_eq!(problems(&|s| s.directory = "http://a.example/".into(), false), 1);
    assert_eq!(problems(&|s| s.contact = vec!["mailto:a@b.example".into()], false), 1);
    assert_eq!(problems(&|s| s.contact = vec!["a@b.example".into()], false), 0);
    assert_eq!(problems(&|s| s.challenge = Proof::Http01, false), 1);
    assert_eq!(problems(&|s| s.challenge = Proof::Http01, true), 0);
    for wrong in ["*.example.org", "example", "10.0.0.1", "a b.example", "-a.example", "a..example", "münchen.example"]
    {
        assert_eq!(problems(&|s| s.domains.push(wrong.into()), false), 1, "{wrong}");
    }
}

#[test]
fn asking_again_takes_longer_and_longer_and_has_an_end() {
    let away = || Failed::Away(String::new());
    let mut failures = Failures::default();
    let first = failures.pause(&away());
    assert!((2..3).contains(&first.as_secs()), "{first:?}");
    for _ in 0..40 {
        failures.pause(&away());
    }
    assert!((600..=675).contains(&failures.pause(&away()).as_secs()));
    // Who says no is asked at most four times in the first hour.
    let refused: Vec<u64> = (0..40).map(|_| failures.pause(&Failed::Refused(String::new())).as_secs()).collect();
    assert!(refused[..4].iter().sum::<u64>() > 3600 && refused[0] >= 300, "{refused:?}");
    assert!((21_600..=24_300).contains(&refused[39]));
}

/// Key and chain for these names, good from and until then.
fn made(names: &[&str], from: time::OffsetDateTime, until: time::OffsetDateTime) -> String {
    let mut asked = rcgen::CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
    asked.not_before = from;
    asked.not_after = until;
    let key = rcgen::KeyPair::generate().unwrap();
    format!("{}{}", key.serialize_pem(), asked.self_signed(&key).unwrap().pem())
}

#[test]
fn what_was_kept_is_used_while_it_is_good_for_these_names_and_from_this_authority() {
    let dir = tempfile::tempdir().unwrap();
    let now = time::OffsetDateTime::from_unix_timestamp(1_795_446_000).unwrap();
    let days = time::Duration::days;
    let clock: Arc<dyn Clock> = Arc::new(clock::Manual::at(room::Millis(1_795_446_000_000)));
    let due = |settings: &Settings| {
        let acme = Acme::open(settings, dir.path(), clock.clone()).unwrap();
        (acme.is_given(), acme.due_in().as_secs() / 3600)
    };
    let wanted = settings(&["b.example.org", "A.example.org"]);
    assert_eq!(due(&wanted), (false, 0));
    let kept = Kept::open(dir.path()).unwrap();
    let keep = |pem: &str| kept.keep_certificate(&wanted.directory, pem).unwrap();
    keep(&made(&["a.example.org", "b.example.org"], now - days(1), now + days(89)));
    assert_eq!(due(&wanted), (true, 59 * 24), "two thirds of 90 days, of which one is over");
    assert_eq!(due(&settings(&["a.example.org"])), (true, 0), "other names");
    assert_eq!(due(&Settings { directory: "https://other.example/".into(), ..wanted.clone() }), (false, 0));
    for file in ["acme/certificate.pem", "acme"].map(|name| dir.path().join(name)) {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "{}", file.display());
    }
    keep(&made(&["a.example.org", "b.example.org"], now - days(61), now + days(29)));
    assert_eq!(due(&wanted), (true, 0), "less than a third is left");
    keep("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_eq!(due(&wanted), (false, 0), "broken");
}
