//! What is printed: a table for each cell.

use comfy_table::{CellAlignment, Table, presets};

use crate::row::{Cell, Row};
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
    let plural = if threads == 1 { "" } else { "s" };
    let entries = grouped(entries as u64);
    let title = format!("{workload}: {entries} entries, {threads} thread{plural}");
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
    use super::grouped;

    #[test]
    fn digits_are_grouped_from_the_right() {
        let grouped = [0, 12, 123, 1234, 123_456, 1_234_567].map(grouped);
        assert_eq!(grouped, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }
}
