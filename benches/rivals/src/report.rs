//! What is printed: a table for each cell, and of the throughput over threads one
//! for each workload.

use comfy_table::{CellAlignment, Table, presets};
use std::iter;

use crate::machine;
use crate::row::{self, Cell, Row};
use crate::workload::Workload;

/// A title and a table.
pub(crate) fn table(cell: Cell, rows: &[Row]) -> String {
    let title = title(cell, rows);
    let table = match cell.workload {
        Workload::Latency => latency(rows),
        Workload::Memory => memory(rows),
        _ => speed(rows),
    };
    format!("\n## {title}\n\n{table}")
}

fn title(cell: Cell, rows: &[Row]) -> String {
    let Cell {
        workload,
        entries,
        threads,
    } = cell;
    let (entries, crew) = (grouped(entries as u64), machine::crew(threads));
    let title = format!("{workload}: {entries} entries, {crew}");
    match rows.first().and_then(|row| row.best_map.as_ref()) {
        Some(map) => format!("{title} (best map without a bound: {map})"),
        None => title,
    }
}

fn speed(rows: &[Row]) -> Table {
    let mut table = empty(&[
        "",
        "ns/operation",
        "x quick_cache",
        "x best map",
        "hit ratio",
        "resident",
    ]);
    for row in rows {
        table.add_row([
            row.cache.clone(),
            shown(row.ns_per_operation, 1),
            shown(row.over_quick_cache, 2),
            shown(row.over_best_map, 2),
            shown(row.hit_ratio, 4),
            counted(row.resident.map(|resident| resident as u64)),
        ]);
    }
    table
}

fn latency(rows: &[Row]) -> Table {
    let mut table = empty(&[
        "",
        "p50 ns",
        "p99 ns",
        "p99.9 ns",
        "max ns",
        "hit ratio",
        "resident",
    ]);
    for row in rows {
        table.add_row([
            row.cache.clone(),
            counted(row.p50_ns),
            counted(row.p99_ns),
            counted(row.p999_ns),
            counted(row.max_ns),
            shown(row.hit_ratio, 4),
            counted(row.resident.map(|resident| resident as u64)),
        ]);
    }
    table
}

fn memory(rows: &[Row]) -> Table {
    let mut table = empty(&[
        "",
        "bytes/entry filled",
        "bytes/entry churned",
        "allocations/insert",
        "resident",
        "bytes of 10 M empty",
    ]);
    for row in rows {
        table.add_row([
            row.cache.clone(),
            shown(row.filled_bytes_per_entry, 1),
            shown(row.churned_bytes_per_entry, 1),
            shown(row.allocations_per_insert, 3),
            counted(row.resident.map(|resident| resident as u64)),
            counted(row.empty_bytes),
        ]);
    }
    table
}

/// For each workload a title and a table of all caches over all numbers of threads.
pub(crate) fn throughput(rows: &[Row]) -> String {
    let workloads = rows.chunk_by(|a, b| a.workload == b.workload);
    let table = |rows: &[Row]| {
        let (workload, entries) = (&rows[0].workload, grouped(rows[0].entries as u64));
        let title = format!("{workload}: {entries} entries, M/s of all threads together");
        format!("\n## {title}\n\n{}", over_threads(rows))
    };
    let tables: Vec<String> = workloads.map(table).collect();
    tables.join("\n")
}

fn over_threads(rows: &[Row]) -> Table {
    let threads = row::threads(rows.iter());
    let crews: Vec<String> = threads.iter().map(|&n| machine::crew(n)).collect();
    let crews = crews.iter().map(String::as_str);
    let head: Vec<&str> = iter::once("").chain(crews).collect();
    let mut table = empty(&head);
    for cache in row::caches(rows.iter()) {
        let figure = |&threads: &usize| {
            let mut rows = rows.iter().filter(|row| row.cache == cache);
            let row = rows.find(|row| row.threads == threads);
            shown(row.and_then(Row::throughput), 2)
        };
        let figures = threads.iter().map(figure);
        table.add_row(iter::once(cache.to_string()).chain(figures));
    }
    table
}

/// A table with its head, figures to the right.
pub(crate) fn empty(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head);
    let columns = table.column_iter_mut().skip(1);
    columns.for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or("-".to_string(), |figure| format!("{figure:.digits$}"))
}

fn counted(figure: Option<u64>) -> String {
    figure.map_or("-".to_string(), grouped)
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{grouped, throughput};
    use crate::row::Row;

    #[test]
    fn digits_are_grouped_from_the_right() {
        let grouped = [0, 12, 123, 1234, 123_456, 1_234_567].map(grouped);
        assert_eq!(grouped, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }

    #[test]
    fn throughput_has_a_table_for_each_workload_and_a_dash_for_what_is_not_there() {
        let row = |workload: &str, cache: &str, threads, ns| Row {
            workload: workload.to_string(),
            cache: cache.to_string(),
            threads,
            ns_per_operation: Some(ns),
            ..Row::default()
        };
        let rows = [
            row("mixed", "a", 1, 10.0),
            row("mixed", "b", 1, 8.0),
            row("mixed", "b", 2, 4.0),
            row("hot_key", "a", 1, f64::INFINITY),
        ];
        let said = throughput(&rows);
        let cells = said.lines().map(|line| line.split_whitespace().collect());
        let cells: Vec<String> = cells.collect();
        assert!(cells.contains(&"|a|100.00|-|".to_string()), "{said}");
        assert!(cells.contains(&"|b|125.00|250.00|".to_string()), "{said}");
        assert!(cells.contains(&"|a|-|".to_string()), "{said}");
        assert_eq!(said.matches("## ").count(), 2);
    }
}
