//! The parts of the bench `hit_ratio` that must be right for its figures to mean anything: the
//! bounds by rule, the reader of `targets.csv`, the reference LRU, and the means. A bench without
//! harness runs no unit tests, so its files are taken in here.

#![allow(dead_code, reason = "the bench uses the rest")]

mod bounds;
mod cell;
mod reference;
mod standing;
mod targets;

use bounds::{by_rule, nearest_share};
use cell::{Cell, Doors, Measure, Outcome, Part, Score, Unit};
use reference::drive;
use standing::Field;
use targets::{BELADY, BEST_LIBRARY, LRU, Targets};
use trace::Request;

#[test]
fn bounds_are_shares_of_the_unique_keys_and_neither_tiny_nor_double() {
    let entries = |unique| by_rule(Unit::Entries, unique, 0);
    assert_eq!(entries(186_880), [187, 1_869, 18_688, 46_720]);
    assert_eq!(entries(45_238), [64, 452, 4_524, 11_310]);
    assert_eq!(entries(5_684), [64, 568, 1_421]);
    assert_eq!(entries(3_083), [308, 771]);
    assert_eq!(entries(400), [64, 100]);
    assert_eq!(entries(240), [64]);
    assert!(entries(100).is_empty() && entries(0).is_empty());
}

#[test]
fn bounds_in_bytes_are_the_same_shares() {
    assert_eq!(
        by_rule(Unit::Bytes, 45_238, 452_380),
        [640, 4_520, 45_240, 113_100]
    );
}

#[test]
fn each_bound_knows_its_share() {
    let shares = [64, 452, 4_524, 11_310].map(|bound| nearest_share(bound, 45_238));
    assert_eq!(shares, [0, 1, 2, 3]);
    assert_eq!(nearest_share(64, 5_684), 1);
    assert_eq!(nearest_share(0, 0), 3);
}

fn hits(requests: &[(u64, u64)], unit: Unit, bound: u64) -> u64 {
    let requests: Vec<Request> = requests
        .iter()
        .map(|&(key, size)| Request { key, size })
        .collect();
    drive(&requests, 10, unit, bound).hits
}

#[test]
fn the_least_recently_used_goes() {
    let keys = [0, 1, 0, 2, 0, 1, 2].map(|key| (key, 9));
    assert_eq!(hits(&keys, Unit::Entries, 2), 2);
    assert_eq!(hits(&keys, Unit::Entries, 3), 4);
    assert_eq!(hits(&keys, Unit::Entries, 0), 0);
}

#[test]
fn sizes_count_and_what_is_too_heavy_stays_out() {
    let sized = [(0, 5), (1, 5), (2, 11), (0, 5), (3, 6), (1, 5)];
    assert_eq!(hits(&sized, Unit::Bytes, 10), 1);
    // A size of 0 takes room for 1.
    assert_eq!(hits(&[(0, 0), (1, 0), (0, 0)], Unit::Bytes, 1), 0);
}

#[test]
fn scores_count_bytes_too() {
    let requests = [(4, 3), (4, 7)].map(|(key, size)| Request { key, size });
    let score = drive(&requests, 5, Unit::Entries, 1);
    let expected = Score {
        hits: 1,
        requests: 2,
        bytes_hit: 7,
        bytes: 10,
    };
    assert_eq!(score, expected);
}

const HEADER: &str =
    "mode,trace,bound,real,LRU,ARC,S3FIFO,other,Belady,best_simulated,best_library\n";

fn parse_rows(rows: &str) -> Result<Targets, String> {
    Targets::parse(&format!("{HEADER}{rows}"))
}

#[test]
fn fields_are_found_by_their_names() {
    let targets = parse_rows("bytes,web,640,1,1.5,2,3,x,6,5,4\nbytes,web,9,0,,,,,,,\n").unwrap();
    let rows: Vec<_> = targets.of("web", Measure::Bytes).collect();
    let figures = [1.5, 2.0, 3.0, 4.0, 5.0, 6.0].map(Some);
    assert_eq!(
        (rows[0].bound, rows[0].real, rows[0].figures),
        (640, true, figures)
    );
    assert_eq!(
        (rows[1].bound, rows[1].real, rows[1].figures),
        (9, false, [None; 6])
    );
    assert_eq!(targets.of("web", Measure::Entries).count(), 0);
    assert!(!targets.is_empty());
}

#[test]
fn only_whole_traces_have_figures() {
    let targets = parse_rows("entries,web,64,1,1,2,3,x,6,5,4\n").unwrap();
    let mut cell = Cell {
        trace: "web".to_string(),
        part: Part::Whole,
        unit: Unit::Entries,
        bound: 64,
        real: true,
        share: 0,
    };
    let belady = |cell: &Cell| targets.figure(cell, Measure::Entries, BELADY);
    assert_eq!(belady(&cell), Some(6.0));
    assert_eq!(
        targets.figure(&cell, Measure::Entries, BEST_LIBRARY),
        Some(4.0)
    );
    assert_eq!(targets.figure(&cell, Measure::Entries, LRU), Some(1.0));
    cell.part = Part::Half;
    assert_eq!(belady(&cell), None);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let error = |rows: &str| parse_rows(rows).unwrap_err();
    assert_eq!(
        error("\nentries,web,0,1,1,2,3,x,6,5,4"),
        "3: `0` is no whole number above 0"
    );
    assert_eq!(
        error("entries,web,64,1,1,101,3,x,6,5,4"),
        "2: `101` is no figure from 0 to 100"
    );
    assert_eq!(error("entries,web,64,1"), "2: there is no field 5");
    assert_eq!(Targets::parse("").unwrap_err(), "1: there is no header");
    let short = Targets::parse("mode,trace,bound\n").unwrap_err();
    assert_eq!(short, "1: there is no column `real`");
}

/// One cell in which LRU hits 20 %, and one policy so much by both doors.
fn outcome(bound: u64, share: usize, percent: u64) -> Outcome {
    let score = |hits| Score {
        hits,
        requests: 100,
        ..Score::default()
    };
    let doors = |hits| Doors {
        cache: score(hits),
        unsync: score(hits),
    };
    Outcome {
        cell: Cell {
            trace: "web".to_string(),
            part: Part::Whole,
            unit: Unit::Entries,
            bound,
            real: true,
            share,
        },
        reference: score(20),
        exact: doors(20),
        runs: vec![doors(percent)],
    }
}

#[test]
fn a_policy_stands_between_lru_and_belady() {
    let rows = "entries,web,64,1,20,,,x,40,,\nentries,web,640,1,21,,,x,61,,\n";
    let targets = parse_rows(rows).unwrap();
    let outcomes = [outcome(64, 0, 35), outcome(640, 1, 18)];
    let field = Field::new(&outcomes, (Part::Whole, Measure::Entries, true), &targets);
    let standing = field.standing(|o| Some(o.runs[0].cache.percent(Measure::Entries)));
    assert_eq!(standing.mean, Some(26.5));
    assert_eq!(standing.by_share, [Some(35.0), Some(18.0), None, None]);
    // (26.5 - 20.5) of (50.5 - 20.5).
    assert_eq!(standing.gap, Some(20.0));
    assert_eq!(
        (standing.below, standing.worst),
        (Some(1), Some((-3.0, "web 640".to_string())))
    );
}

#[test]
fn where_one_figure_is_missing_there_is_no_mean() {
    let targets = parse_rows("entries,web,64,1,20,5,,x,40,,\n").unwrap();
    let outcomes = [outcome(64, 0, 35), outcome(640, 1, 18)];
    let field = Field::new(&outcomes, (Part::Whole, Measure::Entries, true), &targets);
    let standing = field.standing(|o| field.column(o, 1));
    assert_eq!(
        (standing.mean, standing.gap, standing.worst),
        (None, None, None)
    );
    assert_eq!(standing.by_share[0], Some(5.0));
    // Without a figure in the targets LRU is the reference.
    assert_eq!(field.lru(&outcomes[1]), 20.0);
    let made_up = Field::new(&outcomes, (Part::Whole, Measure::Entries, false), &targets);
    assert!(made_up.outcomes.is_empty());
}
