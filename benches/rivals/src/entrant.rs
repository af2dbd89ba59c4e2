//! Who takes part in a cell: each cache asked for, filled and warmed.

use field::name::Name;
use field::rival::{Bound, Heft, Key};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::sync::Arc;

use crate::contest::{Contest, Start};
use crate::operation::{Get, GetElseInsert, Insert, Mixed, Operation};
use crate::payload::{Numbered, Payload};
use crate::row::Cell;
use crate::workload::{Course, Workload};

/// A cache that takes part.
pub(crate) struct Entrant {
    pub name: Name,
    pub label: String,
    pub contest: Box<dyn Contest>,
}

/// The row beside the weighted ones: the same keys, bound by entries.
pub(crate) const UNWEIGHTED: &str = "brimful by entries";

/// All caches for a cell. The keys depend on nothing but seed, workload and size.
pub(crate) fn enter(cell: Cell, names: &[Name], quick: bool, seed: u64) -> Vec<Entrant> {
    let mut rng = StdRng::seed_from_u64(seed);
    let course = cell.workload.course(cell.entries, quick, &mut rng);
    match cell.workload {
        Workload::HitUniform | Workload::HitZipf | Workload::Miss | Workload::HotKey => {
            by_entries::<u64, u64>(&course, Get, cell, names)
        }
        Workload::GetOrInsert090 | Workload::GetOrInsert099 | Workload::Latency => {
            by_entries::<u64, u64>(&course, GetElseInsert, cell, names)
        }
        Workload::Mixed => by_entries::<u64, u64>(&course, Mixed, cell, names),
        Workload::InsertEvict => by_entries::<u64, u64>(&course, Insert, cell, names),
        Workload::Weighted => by_weight(&course, cell, names),
        Workload::StringHit => by_entries::<String, u64>(&course, Get, cell, names),
        Workload::StringInsert => by_entries::<String, u64>(&course, Insert, cell, names),
        Workload::Value64Hit => by_entries::<u64, [u64; 8]>(&course, Get, cell, names),
        Workload::Value64Insert => by_entries::<u64, [u64; 8]>(&course, Insert, cell, names),
        Workload::ArcHit => by_entries::<u64, Arc<[u8; 64]>>(&course, Get, cell, names),
        Workload::Memory => Vec::new(),
    }
}

fn by_entries<K: Key + Numbered, V: Payload<K>>(
    course: &Course,
    operation: impl Operation<K, V>,
    cell: Cell,
    names: &[Name],
) -> Vec<Entrant> {
    let fill = numbered(&course.fill);
    let requests: Arc<[K]> = numbered(&course.requests).into();
    let start = || Start {
        fill: &fill,
        requests: requests.clone(),
        warm: course.warm,
        operation,
        threads: cell.threads,
        bound: cell.entries as u64,
    };
    let entrant = |&name: &Name| Entrant {
        name,
        label: name.to_string(),
        contest: name.open::<K, V, _>(cell.entries, start()),
    };
    names.iter().map(entrant).collect()
}

/// The bound is what so many entries weigh on the average.
fn by_weight(course: &Course, cell: Cell, names: &[Name]) -> Vec<Entrant> {
    let requests: Arc<[u64]> = course.requests.clone().into();
    let heft = |key: &u64| <Heft as Payload<u64>>::of(key).0;
    let sum: u64 = requests.iter().map(heft).sum();
    let bound = Bound {
        weight: sum * cell.entries as u64 / requests.len() as u64,
        entries: cell.entries,
    };
    let start = |bound| Start {
        fill: &[],
        requests: requests.clone(),
        warm: course.warm,
        operation: Insert,
        threads: cell.threads,
        bound,
    };
    let entrant = |&name: &Name| {
        let contest = name.open_weighted(bound, start(bound.weight))?;
        let label = name.to_string();
        Some(Entrant {
            name,
            label,
            contest,
        })
    };
    let mut entrants: Vec<Entrant> = names.iter().filter_map(entrant).collect();
    if names.contains(&Name::Brimful) {
        entrants.push(Entrant {
            name: Name::Brimful,
            label: UNWEIGHTED.to_string(),
            contest: Name::Brimful.open::<u64, Heft, _>(cell.entries, start(bound.weight)),
        });
    }
    entrants
}

fn numbered<K: Numbered>(numbers: &[u64]) -> Vec<K> {
    numbers.iter().map(|&number| K::of(number)).collect()
}
