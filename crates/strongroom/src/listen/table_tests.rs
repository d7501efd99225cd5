//! Who gets a place on a port of four, and who must go for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance};

use super::activity::{Claim, Stage};
use super::table::{Place, Places, Table};
use crate::metrics::{PortMetrics, Shortage};

const PLACES: usize = 4;
const SHARE: usize = 2;
const SECOND: Duration = Duration::from_secs(1);

fn table() -> Arc<Table> {
    let places = Places {
        max_connections: PLACES,
        max_per_address: SHARE,
        trusted_proxies: vec!["10.9.0.0/16".parse().unwrap()],
        header_timeout: 5 * SECOND,
        keep_alive_timeout: 20 * SECOND,
    };
    Table::new(places, Arc::new(PortMetrics::default()))
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn at(table: &Arc<Table>, peer: IpAddr, stage: Stage) -> Place {
    let place = table.admit(peer).unwrap();
    assert!(place.activity.enter(stage));
    place
}

fn stage(place: &Place) -> Stage {
    place.activity.stage().0
}

/// A port whose places are all busy, each for another address.
fn busy(table: &Arc<Table>) -> Vec<Place> {
    (0..PLACES).map(|last| at(table, address(u8::try_from(last).unwrap()), Stage::Busy)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_has_waited_longest_goes_where_the_port_is_full() {
    let table = table();
    let mut places = Vec::new();
    for (last, stage) in [(1, Stage::Busy), (2, Stage::First), (3, Stage::Idle), (4, Stage::Head)] {
        places.push(at(&table, address(last), stage));
        advance(SECOND).await;
    }
    let new = table.admit(address(5)).unwrap();
    assert_eq!(new.shortage, None);
    assert_eq!(places.iter().map(stage).collect::<Vec<_>>(), [Stage::Busy, Stage::Closing, Stage::Idle, Stage::Head]);
    drop(places.remove(1));
    assert_eq!(table.admit(address(6)).unwrap().shortage, None, "the one that went is not counted twice");
    assert_eq!(stage(&places[1]), Stage::Closing, "the next one that waits is the next to go");
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_a_second_for_its_handshake_and_between_requests() {
    let table = table();
    let places: Vec<_> = (1..=4).map(|last| table.admit(address(last)).unwrap()).collect();
    advance(Duration::from_millis(999)).await;
    assert_eq!(
        table.admit(address(5)).unwrap().shortage,
        Some(Shortage::Full),
        "where many come at once, those that came first are served"
    );
    assert!(places.iter().all(|place| stage(place) == Stage::Opening));
    advance(Duration::from_millis(1)).await;
    assert_eq!(table.admit(address(5)).unwrap().shortage, None);
}

#[tokio::test(start_paused = true)]
async fn an_address_beyond_its_share_costs_only_itself() {
    let table = table();
    let other = at(&table, address(1), Stage::Idle);
    advance(SECOND).await;
    let own = [at(&table, address(2), Stage::Idle), at(&table, address(2), Stage::Busy)];
    advance(SECOND).await;
    let third = at(&table, address(2), Stage::Busy);
    assert_eq!((third.shortage, stage(&own[0]), stage(&other)), (None, Stage::Closing, Stage::Idle));
    assert_eq!(table.admit(address(2)).unwrap().shortage, Some(Shortage::Address), "with all its share busy it gets no more");
    assert_eq!(table.admit(address(3)).unwrap().shortage, None, "there is room for others");
}

#[tokio::test(start_paused = true)]
async fn a_64_of_ipv6_is_one_address_and_a_trusted_proxy_has_no_share() {
    let table = table();
    let of = |text: &str| text.parse().unwrap();
    let _own = [at(&table, of("2001:db8::1"), Stage::Busy), at(&table, of("2001:db8::2"), Stage::Busy)];
    assert_eq!(table.admit(of("2001:db8::3")).unwrap().shortage, Some(Shortage::Address));
    assert_eq!(table.admit(of("2001:db8:0:1::1")).unwrap().shortage, None);
    let table = self::table();
    let proxied: Vec<_> = (0..PLACES).map(|_| at(&table, of("10.9.1.1"), Stage::Busy)).collect();
    assert!(proxied.iter().all(|place| place.shortage.is_none()));
}

#[tokio::test(start_paused = true)]
async fn where_all_are_busy_a_reserve_is_left_and_part_of_it_is_for_this_machine() {
    let table = table();
    let _busy = busy(&table);
    let mut reserve = Vec::new();
    for last in 100..103 {
        reserve.extend((0..8).map(|_| at(&table, address(last), Stage::Busy)));
        assert!(table.admit(address(last)).is_none(), "one address has a share of the reserve");
    }
    assert!(reserve.iter().all(|place| place.shortage == Some(Shortage::Full)));
    assert!(table.admit(address(200)).is_none(), "the reserve is full of busy ones");
    let local: Vec<_> = (0..8).map(|_| at(&table, LOOPBACK, Stage::Busy)).collect();
    assert_eq!(local.len(), 8);
    assert!(table.admit(LOOPBACK).is_none());
    assert_eq!(PLACES + reserve.len() + local.len(), table.capacity(), "there are never more");
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_the_reserve_does_not_keep_others_out_of_it() {
    let table = table();
    let _busy = busy(&table);
    let reserve: Vec<_> = (0..24).map(|number| table.admit(address(100 + number / 8)).unwrap()).collect();
    assert!(table.admit(address(200)).is_none());
    advance(SECOND).await;
    assert_eq!(table.admit(address(200)).unwrap().shortage, Some(Shortage::Full));
    assert_eq!(reserve.iter().filter(|place| stage(place) == Stage::Closing).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_head_has_its_time_in_all_and_a_kept_alive_connection_another() {
    let table = table();
    let places: Vec<_> = [(1, Stage::First), (2, Stage::Idle), (3, Stage::Busy), (4, Stage::Opening)]
        .map(|(last, stage)| at(&table, address(last), stage))
        .into();
    let stages = || places.iter().map(stage).collect::<Vec<_>>();
    for second in 0..5 {
        assert_eq!(stage(&places[0]), Stage::First, "after {second} s");
        advance(SECOND).await;
        // A byte now and then buys no time.
        places[0].activity.enter(Stage::Head);
        table.expire();
    }
    assert_eq!(stages(), [Stage::Closing, Stage::Idle, Stage::Busy, Stage::Opening]);
    advance(15 * SECOND).await;
    table.expire();
    assert_eq!(stages(), [Stage::Closing, Stage::Closing, Stage::Busy, Stage::Opening]);
    let begun = at(&table, address(5), Stage::Idle);
    assert!(begun.activity.enter(Stage::Head));
    advance(5 * SECOND).await;
    table.expire();
    assert_eq!(stage(&begun), Stage::Closing);
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_answer_is_not_taken_for_a_second_goes_like_one_that_waits() {
    let table = table();
    let busy = busy(&table);
    busy[1].activity.answering(Claim::Short);
    busy[1].activity.blocked();
    advance(Duration::from_millis(999)).await;
    busy[1].activity.taken();
    busy[1].activity.blocked();
    advance(Duration::from_millis(999)).await;
    busy[1].activity.blocked();
    assert_eq!(table.admit(address(100)).unwrap().shortage, Some(Shortage::Full), "some of it was taken");
    advance(Duration::from_millis(1)).await;
    let new = at(&table, address(101), Stage::Busy);
    assert_eq!((new.shortage, stage(&busy[1])), (None, Stage::Closing));
    assert_eq!(table.admit(address(102)).unwrap().shortage, Some(Shortage::Full), "and none of the others");
}

#[tokio::test(start_paused = true)]
async fn a_download_keeps_its_place_to_the_last_byte_however_slow() {
    let table = table();
    let busy = busy(&table);
    for place in &busy {
        place.activity.answering(Claim::Download);
        place.activity.blocked();
    }
    advance(30 * SECOND).await;
    assert_eq!(table.admit(address(100)).unwrap().shortage, Some(Shortage::Full));
    busy[2].activity.taken();
    assert!(busy[2].activity.enter(Stage::Idle) && busy[2].activity.enter(Stage::Busy));
    busy[2].activity.answering(Claim::Short);
    busy[2].activity.blocked();
    advance(SECOND).await;
    assert_eq!(table.admit(address(101)).unwrap().shortage, None);
    assert_eq!(stage(&busy[2]), Stage::Closing, "the answer after it is another");
}

#[tokio::test(start_paused = true)]
async fn asking_without_credentials_again_and_again_buys_no_time() {
    for (claim, shortage) in [(Claim::Anonymous, None), (Claim::Short, Some(Shortage::Full))] {
        let table = table();
        let places = busy(&table);
        for _ in 0..3 {
            places[3].activity.answering(claim);
            assert!(places[3].activity.enter(Stage::Idle));
            advance(Duration::from_millis(900)).await;
            assert!(places[3].activity.enter(Stage::Busy));
        }
        assert_eq!(table.admit(address(100)).unwrap().shortage, Some(Shortage::Full), "{claim:?}: its request is at work");
        assert!(places[3].activity.enter(Stage::Idle));
        assert_eq!(table.admit(address(101)).unwrap().shortage, shortage, "{claim:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn descriptors_are_taken_from_those_that_wait_and_from_no_others() {
    let table = table();
    let _busy = at(&table, address(1), Stage::Busy);
    assert!(!table.evict_for_descriptor());
    let idle = at(&table, address(2), Stage::Idle);
    advance(SECOND).await;
    assert!(table.evict_for_descriptor() && !table.evict_for_descriptor());
    assert_eq!(stage(&idle), Stage::Closing);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_arrivals_leave_nothing_behind() {
    let table = table();
    let begun = Instant::now();
    for number in 0..10_000_u32 {
        drop(table.admit(IpAddr::from(number.to_be_bytes())));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let all: Vec<_> = (0..PLACES).map(|last| table.admit(address(u8::try_from(last).unwrap())).unwrap()).collect();
    assert!(all.iter().all(|place| place.shortage.is_none()));
}
