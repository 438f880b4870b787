use super::{LEASE, NOW, Place, SHORT, queue_on, release};
use crate::bus::bus;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What happened, in an order that all workers agree on.
#[derive(Default)]
struct Book {
    /// Items that nobody has claimed, by level.
    open: HashMap<u32, usize>,
    claimed: HashSet<String>,
    inversions: usize,
}

/// An item must not be handed out while one of a higher level was open for the whole time of the claim.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_workers_never_take_a_lower_level_first() {
    const ITEMS: u32 = 2000;
    let place = Place::new().await;
    let lane = place.lane("rust", LEASE);
    let book = Arc::new(Mutex::new(Book::default()));
    let adds = (0..ITEMS).map(|index| {
        let (place, lane) = (&place, &lane);
        async move {
            place
                .add(lane, index * 7 % 10 + 1, &format!("i{index}"))
                .await
        }
    });
    futures_util::future::join_all(adds).await;
    for level in 1..=10 {
        book.lock().unwrap().open.insert(level, ITEMS as usize / 10);
    }
    let start = Instant::now();
    let mut workers = Vec::new();
    for worker in 0..8 {
        let queue = queue_on(&bus(&place.server).await);
        let (lane, book) = (lane.clone(), book.clone());
        workers.push(tokio::spawn(async move {
            let lanes = [lane];
            while let Some(claim) = queue
                .claim(&lanes, &format!("w{worker}"), NOW)
                .await
                .unwrap()
            {
                {
                    let mut book = book.lock().unwrap();
                    // Claims in flight are open in the book: at most one for each other worker.
                    let higher: usize = (claim.level + 1..=10).map(|level| book.open[&level]).sum();
                    book.inversions += usize::from(higher > 7);
                    *book.open.get_mut(&claim.level).unwrap() -= 1;
                    assert!(book.claimed.insert(claim.id.clone()), "{} twice", claim.id);
                }
                assert!(!queue.complete(&claim.token).await.unwrap().duplicate);
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    println!(
        "8 workers, {ITEMS} items: {:.0} claim+complete a second",
        f64::from(ITEMS) / start.elapsed().as_secs_f64()
    );
    {
        let book = book.lock().unwrap();
        assert_eq!((book.inversions, book.claimed.len()), (0, ITEMS as usize));
    }
    assert_eq!(place.messages().await, 0);
    assert_eq!(place.letters().await.len(), 0);
}

/// Workers that die, give back, are late and complete: in the end each item was completed exactly once, or is a dead letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_done_twice_among_careless_workers() {
    const ITEMS: usize = 120;
    const END: Duration = Duration::from_secs(60);
    let place = Place::new().await;
    let lane = place.lane("rust", SHORT);
    for index in 0..ITEMS {
        place
            .add(&lane, index as u32 % 10 + 1, &format!("i{index}"))
            .await;
    }
    let done: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let start = Instant::now();
    let mut workers = Vec::new();
    for worker in 0..6_usize {
        let queue = queue_on(&bus(&place.server).await);
        let (lane, done) = (lane.clone(), done.clone());
        workers.push(tokio::spawn(async move {
            let lanes = [lane];
            let mut turn = worker;
            while lanes[0].stream.info().await.unwrap().unwrap().messages > 0 {
                assert!(start.elapsed() < END, "some are never done");
                queue.sweep().await.unwrap();
                let Some(claim) = queue
                    .claim(&lanes, &format!("w{worker}"), SHORT)
                    .await
                    .unwrap()
                else {
                    continue;
                };
                turn += 1;
                match turn % 5 {
                    // Never heard of again.
                    0 => {}
                    1 => {
                        queue.release(&claim.token, release("no")).await.ok();
                    }
                    _ => {
                        if queue.complete(&claim.token).await.is_ok() {
                            *done.lock().unwrap().entry(claim.id).or_default() += 1;
                        }
                    }
                }
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    let done = done.lock().unwrap().clone();
    let dead = place.letters().await;
    assert!(done.values().all(|times| *times == 1), "{done:?}");
    assert!(
        dead.iter()
            .all(|letter| !done.contains_key(letter["id"].as_str().unwrap()))
    );
    assert_eq!(done.len() + dead.len(), ITEMS);
    println!("{} completed, {} dead letters", done.len(), dead.len());
}

/// Its numbers are what one reads, with `--ignored --nocapture`.
#[ignore = "a measurement"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_a_second() {
    for workers in [1_usize, 4] {
        let place = Place::new().await;
        let lane = place.lane("rust", LEASE);
        const ITEMS: usize = 800;
        let adds = (0..ITEMS).map(|index| {
            let (place, lane) = (&place, &lane);
            async move {
                place
                    .add(lane, index as u32 % 10 + 1, &format!("i{index}"))
                    .await
            }
        });
        futures_util::future::join_all(adds).await;
        let start = Instant::now();
        let tasks: Vec<_> = (0..workers)
            .map(|worker| {
                let (queue, lanes) = (place.queue.clone(), [lane.clone()]);
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    loop {
                        let begun = Instant::now();
                        let Some(claim) = queue
                            .claim(&lanes, &format!("w{worker}"), NOW)
                            .await
                            .unwrap()
                        else {
                            return times;
                        };
                        let claimed = begun.elapsed();
                        queue.complete(&claim.token).await.unwrap();
                        times.push((claimed, begun.elapsed() - claimed));
                    }
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        assert_eq!(times.len(), ITEMS);
        let rate = ITEMS as f64 / start.elapsed().as_secs_f64();
        let p50 = |mut list: Vec<Duration>| {
            list.sort();
            list[list.len() / 2]
        };
        println!(
            "{workers} workers: {rate:.0} pairs a second, claim p50 {:?}, complete p50 {:?}",
            p50(times.iter().map(|(claim, _)| *claim).collect()),
            p50(times.iter().map(|(_, complete)| *complete).collect()),
        );
    }
}
