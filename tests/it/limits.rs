//! Every limit that a caller or a provider can meet, at the limit and one above it.

use kuvert::{
    Category, ContextError, EncryptionContext, Kuvert, Layout, MessageStart, OpenOptions, Recipient,
    RecipientType, SealOptions, blocking::block_on, limits,
};

use crate::hostile::forge::{Scripted, context, kwp, sealed};

fn private(id: usize, params: usize, wrap: usize) -> Recipient {
    Recipient::new(RecipientType(0x8000), vec![1; id], vec![2; params], vec![3; wrap])
}

/// What sealing for these recipients fails with, `None` if it does not.
fn seal_for(recipients: Vec<Recipient>, layout: Layout) -> Option<Category> {
    let kuvert = Scripted::new().with_recipients(recipients).kuvert();
    let kuvert = kuvert.with_seal_options(SealOptions::default().with_layout(layout));
    block_on(kuvert.sealer(&context())).unwrap().err().map(|error| error.category())
}

fn pairs(count: usize) -> impl Iterator<Item = (String, &'static str)> {
    (0..count).map(|i| (format!("{i}"), ""))
}

/// The limit that was passed.
fn passed(result: Result<EncryptionContext, ContextError>) -> u64 {
    match result.unwrap_err() {
        error @ ContextError::TooLong { limit, .. } => {
            assert_eq!(error.category(), Category::LimitExceeded);
            limit
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_numbers_are_those_of_the_manual() {
    assert_eq!(limits::MAX_HEADER_LEN, 278_591);
    assert_eq!(limits::MAX_PLAINTEXT_LEN, (1 << 52) - 1);
    assert_eq!((limits::MAX_CONTEXT_LEN, limits::MAX_CONTEXT_PAIRS), (16_384, 64));
    assert_eq!((limits::MAX_CONTEXT_NAME_LEN, limits::MAX_CONTEXT_VALUE_LEN), (255, 4096));
    assert_eq!((limits::MIN_SLOT_LEN, limits::MAX_SLOT_LEN, limits::MAX_STANZAS), (128, 131_072, 32));
    assert_eq!((limits::MAX_ID_LEN, limits::MAX_PARAMS_LEN, limits::MAX_WRAP_LEN), (2048, 1024, 6144));
    assert_eq!((limits::MAX_STANZAS_TRIED, limits::MAX_CHUNKS), (4, 1 << 38));
    assert_eq!((limits::MAX_RECORD_LEN, limits::DEFAULT_RECORD_LEN), (64 << 20, 1 << 20));
    assert_eq!((limits::RECORD_OVERHEAD, limits::RECORDS_PER_KEY), (49, 1 << 36));
}

#[test]
fn a_context_has_at_most_64_pairs() {
    assert_eq!(EncryptionContext::new(pairs(64)).unwrap().len(), 64);
    assert_eq!(passed(EncryptionContext::new(pairs(65))), 64);
    let full = EncryptionContext::new(pairs(64)).unwrap();
    assert_eq!(passed(full.clone().with_required("x", "")), 64);
    // The count comes first, whatever else is wrong.
    assert_eq!(passed(full.clone().with_stored("", "")), 64);
    assert_eq!(passed(full.clone().with_stored("0", "")), 64);
    assert_eq!(passed(full.clone().with_stored("kuvert:x", "")), 64);
    assert_eq!(passed(full.with_stored("n".repeat(256), "")), 64);
    let endless = std::iter::repeat_with(String::new).enumerate().map(|(i, value)| (format!("{i}"), value));
    assert_eq!(passed(EncryptionContext::new(endless)), 64);
}

#[test]
fn names_and_values_have_their_lengths() {
    let with = |name: usize, value: usize| EncryptionContext::new([("n".repeat(name), "v".repeat(value))]);
    assert!(with(255, 4096).is_ok());
    assert_eq!(passed(with(256, 0)), 255);
    assert_eq!(passed(with(1, 4097)), 4096);
    // Bytes are counted, not characters.
    assert!(EncryptionContext::new([("é".repeat(127), "")]).is_ok());
    assert_eq!(passed(EncryptionContext::new([("é".repeat(128), "")])), 255);
    assert_eq!(passed(EncryptionContext::new([("a", "é".repeat(2049))])), 4096);
}

#[test]
fn all_pairs_together_have_16384_bytes() {
    // Two bytes of count; four of lengths and one of name beside each value.
    let rest = 16_384 - 2 - 4 * 5 - 3 * 4096;
    let with = |last: usize| {
        let value = "v".repeat(4096);
        EncryptionContext::new([("a", &*value), ("b", &value), ("c", &value), ("d", &value[..last])])
    };
    assert!(with(rest).is_ok());
    assert_eq!(passed(with(rest + 1)), 16_384);
    let longest = with(rest).unwrap();
    let kuvert = Scripted::new().kuvert();
    let message = block_on(kuvert.seal(b"", &longest)).unwrap().unwrap();
    assert!(block_on(kuvert.open(&message, &longest)).unwrap().is_ok());
}

#[test]
fn a_key_envelope_counts_its_own_two_pairs() {
    let kuvert = Scripted::new().kuvert();
    let make = |count| {
        let context = EncryptionContext::new(pairs(count)).unwrap();
        block_on(kuvert.new_record_key(&context)).unwrap().map(|(_, envelope)| (envelope, context))
    };
    let (envelope, context) = make(62).unwrap();
    assert!(block_on(kuvert.load_record_key(&envelope, &context)).unwrap().is_ok());
    assert_eq!(make(63).unwrap_err().category(), Category::LimitExceeded);
}

#[test]
fn a_header_has_1_to_32_recipients() {
    for layout in [Layout::Compact, Layout::Rewrappable, Layout::Detached] {
        assert_eq!(seal_for(vec![kwp("a"); 32], layout), None);
        assert_eq!(seal_for(vec![kwp("a"); 33], layout), Some(Category::LimitExceeded));
        assert_eq!(seal_for(vec![], layout), Some(Category::Usage));
    }
}

#[test]
fn the_parts_of_a_recipient_have_their_lengths() {
    for (recipient, expected) in [
        (private(2048, 1024, 6144), None),
        (private(0, 0, 1), None),
        (private(2049, 0, 1), Some(Category::LimitExceeded)),
        (private(0, 1025, 1), Some(Category::LimitExceeded)),
        (private(0, 0, 6145), Some(Category::LimitExceeded)),
        (private(0x1_0000, 0, 1), Some(Category::LimitExceeded)),
        (private(0, 0, 0), Some(Category::Usage)),
    ] {
        assert_eq!(seal_for(vec![recipient.clone()], Layout::Compact), expected, "{recipient:?}");
    }
}

#[test]
fn all_recipients_fit_into_one_slot() {
    // 14 stanzas of 9228 bytes, and one that fills the slot of 131 072 to the last byte, or misses by one.
    let full = 131_072 - 44 - 14 * 9228;
    let with = |last: usize| {
        let mut recipients = vec![private(2048, 1024, 6144); 14];
        recipients.push(private(0, 0, last - 12));
        recipients
    };
    for layout in [Layout::Compact, Layout::Detached] {
        assert_eq!(seal_for(with(full), layout), None);
        assert_eq!(seal_for(with(full + 1), layout), Some(Category::LimitExceeded));
    }
    // Rounded up to whole pages, two such slots would each be longer than a slot may be.
    assert_eq!(seal_for(with(full), Layout::Rewrappable), Some(Category::LimitExceeded));
}

#[test]
fn the_longest_header_is_opened() {
    let mut recipients = vec![private(2048, 1024, 6144); 13];
    recipients.push(kwp("k1"));
    let kuvert = Scripted::new().with_recipients(recipients).kuvert();
    let kuvert = kuvert.with_seal_options(SealOptions::default().with_layout(Layout::Rewrappable));
    let value = "v".repeat(4096);
    let long = EncryptionContext::new([("a", &*value), ("b", &value), ("c", &value)]).unwrap();
    let message = block_on(kuvert.seal(b"x", &long)).unwrap().unwrap();
    let header_len = MessageStart::parse(&message).unwrap().header().claimed_header_len();
    assert!(header_len % 4096 == 0 && header_len > 250_000, "{header_len}");
    assert_eq!(block_on(kuvert.open(&message, &long)).unwrap().unwrap().as_slice(), b"x");
}

#[test]
fn a_reader_may_take_shorter_headers_only() {
    let (header, body) = sealed(b"x", Layout::Rewrappable);
    let message = [header.clone(), body].concat();
    let provider = Scripted::new();
    let open = |max: usize| {
        let options = OpenOptions::default().with_max_header_len(max);
        let kuvert = provider.kuvert().with_open_options(options);
        block_on(kuvert.open(&message, &context())).unwrap().map(|_| ()).map_err(|error| error.category())
    };
    assert_eq!(open(header.len()), Ok(()));
    let calls = provider.calls();
    assert_eq!(open(header.len() - 1), Err(Category::LimitExceeded));
    assert_eq!(open(0), Err(Category::LimitExceeded));
    assert_eq!(provider.calls(), calls, "before any key");
    assert_eq!(OpenOptions::default().with_max_header_len(usize::MAX).max_header_len, 278_591);
}

/// A source that panics if more is read of it than the 32 bytes that state a header's length.
struct Prefix(std::io::Cursor<Vec<u8>>);

impl std::io::Read for Prefix {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        assert!(self.0.position() + out.len() as u64 <= 32, "asked for more than the first 32 bytes");
        self.0.read(out)
    }
}

impl std::io::Seek for Prefix {
    fn seek(&mut self, target: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(target)
    }
}

/// A stream's reader may do so as well, before a long header is read or room is made for it.
// fmt: O-3
#[test]
fn a_start_is_refused_by_its_first_32_bytes() {
    let (header, body) = sealed(b"x", Layout::Rewrappable);
    let message = [header.clone(), body.clone()].concat();
    let whole = MessageStart::within(header.len());
    assert_eq!(whole.read(&mut &message[..]).unwrap().chunks_offset(), header.len() as u64 + 56);
    assert!(whole.parse(&message).is_ok());
    assert_eq!(MessageStart::within(usize::MAX), MessageStart::within(278_591));

    let (detached, body_beside) = sealed(b"x", Layout::Detached);
    let whole = MessageStart::within(detached.len());
    assert!(whole.read_detached(&mut &detached[..], &mut &body_beside[..]).is_ok());
    let source = |bytes: &[u8]| Prefix(std::io::Cursor::new(bytes.to_vec()));
    for max in [0, 32, header.len().min(detached.len()) - 1] {
        let starts = MessageStart::within(max);
        let refusals = [
            starts.read(&mut source(&message)),
            starts.read_seekable(&mut source(&message)),
            starts.parse(&message),
            starts.read_detached(&mut source(&detached), &mut &body_beside[..]),
            starts.read_detached_seekable(&mut source(&detached), &mut std::io::Cursor::new(&body_beside)),
        ];
        for refused in refusals {
            assert_eq!(refused.unwrap_err().category(), Category::LimitExceeded, "{max}");
        }
        // Before the header's end is missed.
        assert_eq!(starts.parse(&message[..40]).unwrap_err().category(), Category::LimitExceeded);
        #[cfg(feature = "tokio")]
        {
            use crate::support::{
                async_io::{Pieces, Slow},
                cancel::wait,
            };
            let slow = |bytes: &[u8]| Slow::new(source(bytes), 1);
            let refusals = [
                wait(starts.read_async(&mut slow(&message))),
                wait(starts.read_seekable_async(&mut slow(&message))),
                wait(starts.read_detached_async(&mut slow(&detached), &mut &body_beside[..])),
                wait(starts.read_stream(Pieces::new(&message[..], 32, 1))).map(|(start, _)| start),
            ];
            for refused in refusals {
                assert_eq!(refused.unwrap_err().category(), Category::LimitExceeded, "{max}");
            }
        }
    }
}

#[test]
fn the_limit_of_an_envelope_is_the_same() {
    let provider = Scripted::new();
    let (_, envelope) = block_on(provider.kuvert().new_record_key(&context())).unwrap().unwrap();
    let load = |max: usize| {
        let options = OpenOptions::default().with_max_header_len(max);
        let kuvert = provider.kuvert().with_open_options(options);
        block_on(kuvert.load_record_key(&envelope, &context())).unwrap().map(|_| ()).map_err(|e| e.category())
    };
    assert_eq!(load(envelope.len() - 72), Ok(()));
    assert_eq!(load(envelope.len() - 73), Err(Category::LimitExceeded));
    // The limit comes before what the rest of the input shows.
    let cut = &envelope[..envelope.len() - 100];
    let kuvert = provider.kuvert().with_open_options(OpenOptions::default().with_max_header_len(100));
    let error = block_on(kuvert.load_record_key(cut, &context())).unwrap().unwrap_err();
    assert_eq!(error.category(), Category::LimitExceeded);
}

#[test]
fn a_reader_may_take_shorter_plaintexts_only() {
    for len in [0_usize, 1, 16_383, 16_384, 16_385] {
        let (header, body) = sealed(&vec![7; len], Layout::Compact);
        let message = [header, body].concat();
        let open = |max: u64| {
            let options = OpenOptions::default().with_max_plaintext_len(max);
            let kuvert = Scripted::new().kuvert().with_open_options(options);
            block_on(kuvert.open(&message, &context())).unwrap().map(|_| ()).map_err(|error| error.category())
        };
        assert_eq!(open(len as u64), Ok(()));
        if len > 0 {
            assert_eq!(open(len as u64 - 1), Err(Category::LimitExceeded));
        }
    }
    assert_eq!(OpenOptions::default().with_max_plaintext_len(u64::MAX).max_plaintext_len, (1 << 52) - 1);
}

#[cfg(target_pointer_width = "64")]
#[test]
fn a_message_of_4_pib_is_one_byte_too_long() {
    let sealer = || block_on(Scripted::new().kuvert().sealer(&context())).unwrap().unwrap();
    let longest = usize::try_from(limits::MAX_PLAINTEXT_LEN).unwrap();
    let overhead = sealer().header().len() + 56 + (1 << 38) * 16;
    assert_eq!(sealer().message_len(longest).unwrap(), longest + overhead);
    for len in [longest + 1, usize::MAX] {
        assert_eq!(sealer().message_len(len).unwrap_err().category(), Category::LimitExceeded);
    }
}

#[test]
fn what_is_refused_when_sealing_wrote_nothing() {
    let kuvert: Kuvert = Scripted::new().with_recipients(vec![kwp("a"); 33]).kuvert();
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    std::fs::write(&from, b"plaintext").unwrap();
    let error = block_on(kuvert.seal_file(&from, &to, &context())).unwrap().unwrap_err();
    assert_eq!(error.category(), Category::LimitExceeded);
    let left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["from"]);
}
