//! Viewers who join while the stream's pictures stand still.

use std::time::UNIX_EPOCH;

use super::bad_network::joining;
use super::narrow::{USUAL, Viewer};
use super::number;
use crate::rtc::feed::Shared;
use crate::rtc::h264;

/// The numbers of the pictures that are whole.
fn shown(viewer: &Viewer) -> Vec<u32> {
    viewer.client.pictures.iter().filter_map(|(_, _, data)| number(h264::unit(data).payload.get(4..)?)).collect()
}

#[test]
fn pictures_that_stand_still_are_sent_again_to_who_has_lost_them() {
    let group: Vec<u32> = (0..31).collect();
    // The group and what is sent again of it, for so long, from so many pictures on.
    for (lost, from) in [(50, 0), (500, 0), (1_500, 0), (50, 20)] {
        let mut viewer = Viewer::new(USUAL, |_| ());
        let (backlog, _) = joining();
        let (head, tail) = backlog.split_at(from * 3);
        viewer.catch_up(head);
        viewer.network.loss = 1_000;
        viewer.catch_up(if from == 0 { tail } else { &backlog });
        for ms in 0..8_000 {
            if ms == lost {
                viewer.network.loss = 0;
            }
            viewer.step(false);
            // As players do that have packets and no keyframe.
            let pictures = &viewer.client.pictures;
            if !pictures.is_empty() && ms % 1_000 == 0 && !pictures.iter().any(|(_, _, data)| h264::unit(data).key) {
                viewer.ask_key();
            }
        }
        let shown = shown(&viewer);
        assert!(shown.ends_with(&group), "{from} lost for {lost} ms: {shown:?}");
        assert!(shown.len() <= 3 * group.len(), "{shown:?}");
        let ticks: Vec<u64> = viewer.client.pictures.iter().map(|p| p.0.numer()).collect();
        assert!(ticks.is_sorted_by(|a, b| a < b), "each time is later than the one before: {ticks:?}");
    }
}

#[test]
fn who_asks_for_keyframes_all_the_time_is_not_sent_the_same_group_for_ever() {
    let mut viewer = Viewer::new(USUAL, |_| ());
    let (backlog, _) = joining();
    viewer.catch_up(&backlog);
    for ms in 0..20_000 {
        viewer.step(false);
        if ms % 100 == 0 {
            viewer.ask_key();
        }
    }
    let times = shown(&viewer).len() / 31;
    assert!((5..=11).contains(&times), "{times}");
}

#[test]
fn nothing_is_sent_again_where_pictures_go_on_or_have_arrived() {
    let mut viewer = Viewer::new(USUAL, |_| ());
    let (backlog, live) = joining();
    viewer.catch_up(&backlog);
    for shared in &live {
        viewer.take(shared);
    }
    (0..6_000).for_each(|_| viewer.step(false));
    assert_eq!(shown(&viewer).len(), 46, "each once");

    let mut viewer = Viewer::new(USUAL, |_| ());
    viewer.catch_up(&backlog);
    (0..6_000).for_each(|_| viewer.step(false));
    let times = shown(&viewer).len() / 31;
    assert!(times <= 2, "a report has come within a second: {times}");
}

/// Milliseconds that a picture, or sound, is stamped after the first picture, and that it comes after it.
fn stamps(viewer: &mut Viewer, until: u64, mut send: impl FnMut(&mut Viewer, u64)) -> Vec<(i64, i64)> {
    let mut first = None;
    let mut found = Vec::new();
    for ms in 0..until {
        send(viewer, ms);
        let before = viewer.client.pictures.len();
        viewer.step(false);
        for (time, ..) in &viewer.client.pictures[before..] {
            let stamp = time.numer() as i64 / 90;
            let (began, zero) = *first.get_or_insert((ms, stamp));
            found.push((stamp - zero, (ms - began) as i64));
        }
    }
    found
}

fn at(shared: &Shared, pts: i64) -> Shared {
    Shared { pts, ..shared.clone() }
}

#[test]
fn pictures_that_stood_still_have_the_times_that_a_player_reckons_with() {
    const STOOD: i64 = 5_000_000;
    let mut viewer = Viewer::new(USUAL, |_| ());
    let (backlog, live) = joining();
    let end = backlog.iter().map(|shared| shared.pts).max().unwrap();
    viewer.catch_up_at(&backlog, end + STOOD);
    let pictures: Vec<&Shared> = live.iter().filter(|shared| shared.is_picture()).collect();
    let found = stamps(&mut viewer, 6_000, |viewer, ms| {
        // It asks for keyframes, so that the group is sent again, until pictures go on; one each 40 ms.
        if ms < 4_000 && ms % 500 == 0 {
            viewer.ask_key();
        }
        if ms >= 5_000
            && ms % 40 == 0
            && let Some(next) = pictures.get((ms as usize - 5_000) / 40)
        {
            viewer.take(&at(next, end + STOOD + ms as i64 * 1_000));
        }
    });
    assert!(found.len() > 31 * 4 + 10, "it was sent again, and went on: {}", found.len());
    for (stamped, came) in found {
        assert!((came - stamped).abs() <= 270, "stamped {stamped} ms after the first, and came after {came}");
    }
}

#[test]
fn sound_that_goes_on_beside_pictures_that_stood_still_is_reported_by_the_same_clock() {
    const STOOD: i64 = 5_000_000;
    let mut viewer = Viewer::new(USUAL, |_| ());
    let (mut backlog, live) = joining();
    let is_sound = |shared: &&Shared| !shared.is_picture();
    let sound = backlog.iter().find(is_sound).unwrap().clone();
    let picture = live.iter().find(|shared| shared.is_picture()).unwrap().clone();
    let clock = backlog.iter().map(|shared| shared.pts).max().unwrap() + STOOD;
    backlog.push(at(&sound, clock));
    viewer.catch_up_at(&backlog, clock);
    for ms in 1..12_000 {
        let now = clock + ms * 1_000;
        if ms % 20 == 0 {
            viewer.take(&at(&sound, now));
        }
        if ms < 4_000 && ms % 500 == 0 {
            viewer.ask_key();
        }
        if ms > 8_000 && ms % 40 == 0 {
            viewer.take(&at(&picture, now));
        }
        viewer.step(false);
    }
    // When the stream's time 0 was, by each report.
    let of = |is_sound: bool| -> Vec<i64> {
        let reports = viewer.reports().iter().filter(move |(sound, _)| *sound == is_sound);
        let zero = reports.map(|(sound, info)| {
            let wall = info.ntp_time.duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
            wall - info.rtp_time.numer() as i64 / if *sound { 48 } else { 90 }
        });
        zero.collect()
    };
    let told = [of(true), of(false)];
    assert!(told.iter().all(|of| of.len() > 2), "{told:?}");
    let all = told.concat();
    let apart = all.iter().max().unwrap() - all.iter().min().unwrap();
    assert!(apart <= 10, "lips are {apart} ms from their sound: {told:?}");
}
