use brimful::{Cache, Cause, Departed, Entries, HandClock};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn smoke() {
    let clock = HandClock::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let t = told.clone();
    let cache = Cache::builder(Entries(1000))
        .time_to_live(Duration::from_secs(10))
        .time_to_idle(Duration::from_secs(4))
        .record_lives()
        .clock(clock.clone())
        .on_departure(move |d: Departed<'_, u32, u32>| {
            t.lock().unwrap().push((*d.key, d.cause, d.late, d.lived))
        })
        .build()
        .unwrap();
    for n in 0..100 {
        cache.insert(n, n);
    }
    clock.advance(Duration::from_secs(3));
    for n in 0..50 {
        assert_eq!(cache.get(&n), Some(n));
    }
    clock.advance(Duration::from_secs(3));
    for n in 0..100 {
        assert_eq!(cache.get(&n).is_some(), n < 50);
    }
    cache.check();
    println!("{:?} {:?}", cache.next_deadline(), cache.ttl(&1));
    println!("{:?}", cache.sweep(1000));
    println!("{:?} {:?}", cache.next_deadline(), cache.ttl(&1));
    clock.advance(Duration::from_secs(3));
    for n in 0..50 {
        assert_eq!(cache.get(&n), Some(n));
    }
    clock.advance(Duration::from_secs(3));
    assert_eq!(cache.len(), 50);
    assert_eq!(cache.len_live(), 0);
    println!("{:?}", cache.sweep(1000));
    assert_eq!(cache.len(), 0);
    cache.check();
    assert!(told.lock().unwrap().iter().all(|d| d.1 == Cause::Expired));
    assert_eq!(told.lock().unwrap().len(), 100);
    println!("{:?} {}", told.lock().unwrap()[0], cache.stats());
}
