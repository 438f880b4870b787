use super::{bus, fill, monitored, other_program, spec, subscriptions};
use crate::support::server::NatsServer;
use async_nats::jetstream;
use jacquard::bus::{ErrorKind, From, Outgoing, Page, ReadRequest, Stored, Stream};
use std::time::{Duration, Instant, SystemTime};

pub fn request<'a>(
    subjects: impl IntoIterator<Item = &'a str>,
    limit: usize,
    from: From,
) -> ReadRequest {
    ReadRequest {
        subjects: subjects.into_iter().map(Into::into).collect(),
        limit,
        from,
        ..ReadRequest::default()
    }
}

pub async fn read(stream: &Stream, request: &ReadRequest) -> Page {
    stream.read(request, &mut |_| true).await.unwrap()
}

pub fn seqs(page: &Page) -> Vec<u64> {
    page.messages.iter().map(|stored| stored.seq).collect()
}

/// Walks all pages in one direction and returns the sequences ascending.
pub async fn all<'a>(
    stream: &Stream,
    subjects: impl IntoIterator<Item = &'a str> + Clone,
    limit: usize,
    forward: bool,
    accept: fn(&Stored) -> bool,
) -> Vec<u64> {
    let mut from = if forward {
        From::After(0)
    } else {
        From::Newest
    };
    let mut found: Vec<u64> = Vec::new();
    let mut trips = 0;
    loop {
        let wanted = ReadRequest {
            scan: limit * 7 + 3,
            ..request(subjects.clone(), limit, from)
        };
        let page = stream
            .read(&wanted, &mut |stored| accept(stored))
            .await
            .unwrap();
        let seqs = seqs(&page);
        assert!(seqs.is_sorted() && seqs.len() <= limit);
        assert_eq!(page.more, page.next.is_some());
        if forward {
            found.extend(seqs);
        } else {
            found.splice(0..0, seqs);
        }
        trips += 1;
        assert!(trips < 20_000);
        match page.next {
            None => return found,
            Some(next) if forward => from = From::After(next),
            Some(next) => from = From::Before(next),
        }
    }
}

/// Many messages on `a.noise`. Acked in portions: nats-server drops what it cannot store in time.
async fn noise(other: &jetstream::Context, count: usize) {
    let mut left = count;
    while left > 0 {
        let portion = left.min(500);
        let mut acks = Vec::with_capacity(portion);
        for _ in 0..portion {
            acks.push(other.publish("a.noise", "n".into()).await.unwrap());
        }
        for ack in acks {
            ack.await.unwrap();
        }
        left -= portion;
    }
}

/// A stream with gaps of many kinds, and what is alive in it: `(seq, subject)`.
pub async fn gapped(server: &NatsServer, direct: bool) -> (Stream, Vec<(u64, String)>) {
    let other = other_program(server).await;
    let config = jetstream::stream::Config {
        name: "G".into(),
        subjects: vec!["g.>".into()],
        allow_direct: direct,
        ..Default::default()
    };
    let raw = other.create_stream(config).await.unwrap();
    let mut alive = Vec::new();
    let subject = |seq: u64| match seq {
        _ if seq.is_multiple_of(97) => "g.rare",
        700..=760 => "g.dense",
        _ if seq.is_multiple_of(3) => "g.three",
        _ => "g.other",
    };
    for seq in 1..=1500_u64 {
        other
            .publish(subject(seq), "x".into())
            .await
            .unwrap()
            .await
            .unwrap();
        alive.push((seq, subject(seq).to_owned()));
    }
    let gone = |seq: u64| {
        seq <= 20
            || (300..690).contains(&seq)
            || seq.is_multiple_of(11)
            || (1400..1490).contains(&seq)
    };
    for seq in (1..=1500).filter(|seq| gone(*seq)) {
        raw.delete_message(seq).await.unwrap();
    }
    alive.retain(|(seq, _)| !gone(*seq));
    (bus(server).await.stream(spec("G", "g.>")), alive)
}

async fn check_gapped(direct: bool) {
    let server = NatsServer::start();
    let (stream, alive) = gapped(&server, direct).await;
    for (filter, subject) in [
        (None, ""),
        (Some("g.rare"), "g.rare"),
        (Some("g.dense"), "g.dense"),
        (Some("g.*"), ""),
        (Some("g.none"), "-"),
    ] {
        for limit in [1, 7, 50, 1000] {
            if limit == 1 && !direct {
                continue;
            }
            let expected: Vec<u64> = alive
                .iter()
                .filter(|(_, s)| s.starts_with(subject))
                .map(|(seq, _)| *seq)
                .collect();
            for forward in [false, true] {
                assert_eq!(
                    all(&stream, filter, limit, forward, |_| true).await,
                    expected,
                    "{filter:?} {limit} {forward}"
                );
            }
            let odd: Vec<u64> = expected
                .iter()
                .copied()
                .filter(|seq| seq % 10 == 3)
                .collect();
            for forward in [false, true] {
                assert_eq!(
                    all(&stream, filter, limit, forward, |s| s.seq % 10 == 3).await,
                    odd,
                    "odd {filter:?} {limit} {forward}"
                );
            }
        }
    }
    assert_eq!(stream.drift().is_empty(), direct);
}

#[tokio::test]
async fn pages_are_exact_under_gaps() {
    check_gapped(true).await;
}

#[tokio::test]
async fn pages_are_exact_without_direct_get() {
    check_gapped(false).await;
}

/// A limit per subject makes the gap: old messages stay, and only the last few of the noise.
#[tokio::test]
async fn a_huge_gap_is_jumped_over() {
    let server = NatsServer::start();
    let other = other_program(&server).await;
    let config = jetstream::stream::Config {
        name: "A".into(),
        subjects: vec!["a.>".into()],
        max_messages_per_subject: 5,
        allow_direct: true,
        ..Default::default()
    };
    other.create_stream(config).await.unwrap();
    let stream = bus(&server).await.stream(spec("A", "a.>"));
    fill(&stream, "a.old", 5).await;
    noise(&other, 200_000).await;
    fill(&stream, "a.new", 5).await;
    for filter in [None, Some("a.>"), Some("a.*")] {
        let start = Instant::now();
        let page = read(&stream, &request(filter, 50, From::Newest)).await;
        println!("15 of 200,010 sequences: {:?}", start.elapsed());
        let expected: Vec<u64> = (1..=5).chain(200_001..=200_010).collect();
        assert_eq!(seqs(&page), expected);
        assert_eq!(page.next, None);
        let page = read(&stream, &request(filter, 3, From::Before(200_001))).await;
        assert_eq!((seqs(&page), page.next), (vec![3, 4, 5], Some(3)));
    }
}

#[tokio::test]
async fn a_long_stretch_of_another_subject_is_crossed_quickly() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    fill(&stream, "a.mine", 5).await;
    let other = other_program(&server).await;
    noise(&other, 60_000).await;
    fill(&stream, "a.mine", 5).await;
    let start = Instant::now();
    let page = read(&stream, &request(Some("a.mine"), 8, From::Newest)).await;
    println!("8 of 10 across 60,000: {:?}", start.elapsed());
    assert_eq!(
        seqs(&page),
        [3, 4, 5, 60_006, 60_007, 60_008, 60_009, 60_010]
    );
    assert_eq!(page.next, Some(3));
    let before = read(&stream, &request(Some("a.noise"), 3, From::Before(30_000))).await;
    assert_eq!(seqs(&before), [29_997, 29_998, 29_999]);

    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        let page = read(&stream, &request(None, 50, From::Newest)).await;
        times.push(start.elapsed());
        assert_eq!(page.messages.len(), 50);
    }
    times.sort();
    println!("last 50 of {}: p50 {:?}", page.total, times[25]);
    assert!(times[25] < Duration::from_millis(20), "{:?}", times[25]);
}

#[tokio::test]
async fn posts_while_paging_neither_repeat_nor_skip() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    fill(&stream, "a.x", 400).await;
    let writer = tokio::spawn({
        let stream = stream.clone();
        async move { fill(&stream, "a.x", 600).await }
    });
    for _ in 0..5 {
        let found = all(&stream, Some("a.x"), 9, false, |_| true).await;
        let last = *found.last().unwrap();
        assert_eq!(found, (1..=last).collect::<Vec<_>>());
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn a_page_can_start_at_a_time() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    fill(&stream, "a.x", 3).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    let now = SystemTime::now();
    let since = |time| request(None, 2, From::Since(time));
    assert_eq!(seqs(&read(&stream, &since(now)).await), [] as [u64; 0]);
    tokio::time::sleep(Duration::from_millis(30)).await;
    fill(&stream, "a.x", 3).await;
    let page = read(&stream, &since(now)).await;
    assert_eq!((seqs(&page), page.next), (vec![4, 5], Some(5)));
    let page = read(&stream, &request(None, 2, From::After(5))).await;
    assert_eq!((seqs(&page), page.next), (vec![6], None));
    assert_eq!(
        seqs(&read(&stream, &since(SystemTime::UNIX_EPOCH)).await),
        [1, 2]
    );
}

#[tokio::test]
async fn bounds_of_a_request_are_kept() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    let empty = read(&stream, &ReadRequest::default()).await;
    let created = empty.created.clone();
    assert!(created.is_some());
    assert_eq!(
        empty,
        Page {
            created,
            ..Page::default()
        }
    );
    fill(&stream, "a.x", 30).await;
    for from in [
        From::Before(0),
        From::Before(1),
        From::After(30),
        From::After(u64::MAX),
    ] {
        let page = read(&stream, &request(None, 5, from)).await;
        assert_eq!(
            (page.messages.len(), page.next, page.total),
            (0, None, 30),
            "{from:?}"
        );
    }
    let page = read(&stream, &request(None, 0, From::Before(u64::MAX))).await;
    assert_eq!(seqs(&page), [30]);
    let scan = ReadRequest {
        scan: 10,
        ..request(None, 5, From::Newest)
    };
    let page = stream
        .read(&scan, &mut |stored| stored.seq == 25)
        .await
        .unwrap();
    assert_eq!(
        (seqs(&page), page.skipped, page.next, page.exhausted_scan),
        (vec![25], 9, Some(21), true)
    );
    for bad in ["a..b", "a b", "", "a.>.b"] {
        let error = stream
            .read(&request(Some(bad), 5, From::Newest), &mut |_| true)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSubject, "{bad}");
    }
}

#[tokio::test]
async fn large_messages_are_read_in_parts() {
    let server = NatsServer::with_config("max_payload: 2000000");
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    for _ in 0..30 {
        stream
            .publish(Outgoing::new("a.x", vec![b'x'; 900_000]), None)
            .await
            .unwrap();
    }
    let page = read(&stream, &request(None, 25, From::Newest)).await;
    assert_eq!(seqs(&page), (6..=30).collect::<Vec<_>>());
    assert_eq!(page.next, Some(6));
    let page = read(&stream, &request(None, 25, From::After(0))).await;
    assert_eq!(seqs(&page), (1..=25).collect::<Vec<_>>());
}

#[tokio::test]
async fn reading_can_be_spawned() {
    let server = NatsServer::start();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    let bucket = bus.bucket(jacquard::bus::BucketSpec {
        name: "b".into(),
        ..Default::default()
    });
    tokio::spawn(async move {
        let mut seen = 0;
        let accept = &mut |_: &Stored| {
            seen += 1;
            true
        };
        stream.read(&ReadRequest::default(), accept).await.unwrap();
        bucket.put("k", "v").await.unwrap();
        bucket.create("l", "v", None).await.unwrap();
        bucket.list(">", 5).await.unwrap();
        bucket.history("k").await.unwrap();
        bus.publish(Outgoing::new("x", "y")).await.unwrap();
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn abandoned_calls_leave_no_subscriptions() {
    let (server, port) = monitored();
    let bus = bus(&server).await;
    let stream = bus.stream(spec("A", "a.>"));
    fill(&stream, "a.x", 300).await;
    read(&stream, &request(None, 200, From::Newest)).await;
    // An unsubscription is sent when the call is over, not awaited by it.
    let a_moment = Duration::from_millis(200);
    tokio::time::sleep(a_moment).await;
    let before = subscriptions(port).await;
    for round in 0..100 {
        let wanted = request(None, 200, From::Newest);
        let limit = Duration::from_micros(round * 40);
        let mut accept = |_: &Stored| true;
        let _ = tokio::time::timeout(limit, stream.read(&wanted, &mut accept)).await;
        let _ = tokio::time::timeout(limit, bus.publish(Outgoing::new("x", "y"))).await;
    }
    bus.publish(Outgoing::new("x", "y")).await.unwrap();
    tokio::time::sleep(a_moment).await;
    assert_eq!(subscriptions(port).await, before);
}
