//! Messages through chunks and back, whole and in pieces, and the bounds on what is unfinished.

use super::*;
use proptest::prelude::*;

fn header(kind: u8, timestamp: u32) -> Header {
    Header { kind, stream: 1, timestamp }
}

fn read(reader: &mut Reader, mut bytes: &[u8]) -> Result<Vec<Message>, Ended> {
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut bytes)? {
        messages.push(message);
    }
    assert!(bytes.is_empty());
    Ok(messages)
}

#[test]
fn interleaved_messages_come_out_whole() {
    // Audio of 200 bytes on stream 4 and video of 200 on 6, chunk size 128, pieces alternating.
    let audio = [0xaa; 200];
    let video = [0xbb; 200];
    let mut bytes = vec![4, 0, 0, 10, 0, 0, 200, 8, 1, 0, 0, 0];
    bytes.extend(&audio[..128]);
    bytes.extend([6, 0, 0, 20, 0, 0, 200, 9, 1, 0, 0, 0]);
    bytes.extend(&video[..128]);
    bytes.push(0xc4);
    bytes.extend(&audio[128..]);
    bytes.push(0xc6);
    bytes.extend(&video[128..]);
    let got = read(&mut Reader::default(), &bytes).unwrap();
    assert_eq!(got.len(), 2);
    assert_eq!((got[0].kind, got[0].timestamp, &got[0].payload[..]), (8, 10, &audio[..]));
    assert_eq!((got[1].kind, got[1].timestamp, &got[1].payload[..]), (9, 20, &video[..]));
}

#[test]
fn short_headers_inherit_and_add() {
    let mut bytes = vec![4, 0, 0, 40, 0, 0, 1, 8, 1, 0, 0, 0, 1];
    bytes.extend([0xc4, 2]); // Type 3 after type 0: the time serves as delta.
    bytes.extend([0x84, 0, 0, 5, 3]); // Type 2: delta 5.
    bytes.extend([0xc4, 4]); // Type 3: delta 5 again.
    bytes.extend([0x44, 0, 0, 7, 0, 0, 2, 9, 5, 6]); // Type 1: delta, length and type.
    let got = read(&mut Reader::default(), &bytes).unwrap();
    let times: Vec<_> = got.iter().map(|m| (m.kind, m.timestamp, m.payload[0])).collect();
    assert_eq!(times, [(8, 40, 1), (8, 80, 2), (8, 85, 3), (8, 90, 4), (9, 97, 5)]);
    assert!(got.iter().all(|m| m.stream == 1));
}

#[test]
fn extended_timestamps_repeated_or_not() {
    let payload: Vec<u8> = (0..=255).collect();
    for repeated in [true, false] {
        let mut bytes = vec![4, 0xff, 0xff, 0xff, 0, 1, 0, 9, 1, 0, 0, 0, 1, 2, 3, 4];
        bytes.extend(&payload[..128]);
        bytes.push(0xc4);
        if repeated {
            bytes.extend([1, 2, 3, 4]);
        }
        bytes.extend(&payload[128..]);
        let got = read(&mut Reader::default(), &bytes).unwrap();
        assert_eq!((got[0].timestamp, &got[0].payload[..]), (0x0102_0304, &payload[..]), "{repeated}");
    }
}

/// A message of `length` bytes stamped beyond 24 bits, in chunks of 128.
fn extended(length: usize, stamp: u32, repeated: bool) -> (Vec<u8>, Vec<u8>) {
    let payload: Vec<u8> = (0..length).map(|n| (n * 7) as u8).collect();
    let mut bytes = vec![4, 0xff, 0xff, 0xff, 0, (length >> 8) as u8, length as u8, 9, 1, 0, 0, 0];
    bytes.extend(stamp.to_be_bytes());
    for (n, piece) in payload.chunks(128).enumerate() {
        if n > 0 {
            bytes.push(0xc4);
            bytes.extend(stamp.to_be_bytes().iter().filter(|_| repeated));
        }
        bytes.extend(piece);
    }
    (bytes, payload)
}

#[test]
fn a_last_piece_of_any_length_is_understood_without_repeated_timestamps() {
    let lengths = (255..=262).chain([129, 130, 131, 132, 385, 386, 387, 388, 128, 256, 1]);
    for repeated in [true, false] {
        let mut reader = Reader::default();
        for (n, length) in lengths.clone().enumerate() {
            let stamp = 0x0100_0000 + 40 * n as u32;
            let (bytes, payload) = extended(length, stamp, repeated);
            // Byte by byte, as a slow network brings it.
            let got: Vec<_> = bytes.chunks(1).flat_map(|byte| read(&mut reader, byte).unwrap()).collect();
            assert_eq!(got.len(), 1, "{length} bytes, {repeated}");
            assert_eq!((got[0].timestamp, &got[0].payload[..]), (stamp, &payload[..]), "{length} bytes, {repeated}");
        }
    }
}

#[test]
fn wide_chunk_stream_ids() {
    for id in [&[0u8, 0][..], &[0, 255], &[1, 0, 1], &[1, 255, 255]] {
        let mut bytes = id.to_vec();
        bytes.extend([0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 7]);
        bytes.extend([id, &[0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0]].concat());
        let got = read(&mut Reader::default(), &bytes).unwrap();
        assert_eq!((got[0].payload[0], got[1].payload.len()), (7, 0));
    }
}

#[test]
fn everything_a_peer_can_pile_up_is_bounded() {
    // Length beyond the bound of its kind.
    let long = |kind| read(&mut Reader::default(), &[4, 0, 0, 0, 0xff, 0xff, 0xff, kind, 0, 0, 0, 0]);
    for kind in [8, 9, 18, 20, 99] {
        assert_eq!(long(kind), Err(Ended::Limit("message length")), "{kind}");
    }
    // Many begun and none finished.
    let mut reader = Reader::default();
    let begun = |id: u8| [&[id, 0, 0, 0, 0, 0xff, 0, 9, 0, 0, 0, 0][..], &[0; 128]].concat();
    let end = (2..63).map(|id| read(&mut reader, &begun(id))).find(Result::is_err).unwrap();
    assert_eq!(end, Err(Ended::Limit("unfinished messages")));
    // Many chunk streams.
    let mut reader = Reader::default();
    let whole = |id: u8| [0, id, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0];
    let end = (0..100).map(|id| read(&mut reader, &whole(id))).find(Result::is_err).unwrap();
    assert_eq!(end, Err(Ended::Limit("chunk streams")));
    // Bytes in all.
    let mut reader = Reader::new(1000);
    reader.set_chunk_size(0xff_ffff).unwrap();
    let big = [&[4, 0, 0, 0, 0, 0x10, 0, 9, 0, 0, 0, 0][..], &[0; 2000]].concat();
    assert_eq!(read(&mut reader, &big), Err(Ended::Limit("bytes of unfinished messages")));
    assert!(reader.set_chunk_size(0).is_err() && reader.set_chunk_size(0x8000_0000).is_err());
    // A first header that says nothing.
    assert!(matches!(read(&mut Reader::default(), &[0xc4]), Err(Ended::Protocol(_))));
}

#[test]
fn chunks_larger_than_any_message_are_declared_by_some() {
    // joy4 declares 128 MiB, and others all that the specification has.
    for size in [0x100_0000, 128 << 20, 0x7fff_ffff] {
        let mut reader = Reader::default();
        reader.set_chunk_size(size).unwrap();
        let whole = [&[4, 0, 0, 0, 0, 4, 0, 9, 1, 0, 0, 0][..], &[7; 1024]].concat();
        let payload = vec![7; 1024].into();
        assert_eq!(
            read(&mut reader, &whole),
            Ok(vec![Message { kind: 9, stream: 1, timestamp: 0, payload }]),
            "{size}"
        );
    }
}

#[test]
fn an_aborted_message_frees_its_place() {
    let mut reader = Reader::default();
    for _ in 0..100 {
        read(&mut reader, &[&[4, 0, 0, 0, 0, 1, 0, 9, 0, 0, 0, 0][..], &[0; 128]].concat()).unwrap();
        reader.abort(4);
    }
    assert_eq!((reader.partial, reader.partial_bytes), (0, 0));
}

proptest! {
    #[test]
    fn what_is_written_is_read_at_any_split(
        messages in prop::collection::vec((2u8..64, 0usize..3000, any::<u32>()), 1..12),
        chunk in 1usize..5000, step in 1usize..4000,
    ) {
        let mut out = BytesMut::new();
        let mut want = Vec::new();
        for (i, (channel, len, timestamp)) in messages.into_iter().enumerate() {
            let payload: Vec<u8> = (0..len).map(|n| (n * 7 + i) as u8).collect();
            let (head, tail) = payload.split_at(len.min(5));
            write(&mut out, channel, header(9, timestamp), head, tail, chunk);
            want.push(Message { kind: 9, stream: 1, timestamp, payload: payload.into() });
        }
        let mut reader = Reader::default();
        reader.set_chunk_size(chunk as u32).unwrap();
        let mut got = Vec::new();
        for part in out.chunks(step) {
            got.extend(read(&mut reader, part).unwrap());
        }
        prop_assert_eq!(got, want);
        prop_assert_eq!((reader.partial, reader.partial_bytes), (0, 0));
    }

    #[test]
    fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), size in 1u32..300) {
        let mut reader = Reader::new(5000);
        reader.set_chunk_size(size).unwrap();
        let mut input = &bytes[..];
        while let Ok(Some(_)) = reader.read(&mut input) {}
        prop_assert!(reader.partial_bytes <= 5000 + 4 && reader.partial <= MAX_PARTIAL);
    }
}
