//! The page: a [`Look`] as one HTML document with drawings.
//!
//! Invariants
//! 1. Whatever text comes from outside (names, classes, lines, causes, findings, answers, the query) is
//!    written as [`Text`], which escapes it.
//! 2. Nothing on the page runs, and nothing is fetched for it.

mod chart;
mod query;
mod text;

pub(crate) use query::Query;

use crate::look::{Look, Row, Seen};
use brimful::{Figure, Kind};
use chart::{Chart, bar};
use std::fmt::{self, Write};
use text::{Grouped, Seconds, Signed, Text, percent, rate};

const STYLE: &str = include_str!("page/style.css");

/// So many rows of a table are shown at once, the others when they are asked for.
const AT_ONCE: usize = 8;

pub(crate) fn render(look: &Look, query: &Query) -> String {
    let mut page = String::new();
    write(&mut page, look, query).expect("a String takes all that is written");
    page
}

fn write(page: &mut String, look: &Look, query: &Query) -> fmt::Result {
    page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width\">\n");
    if let Some(seconds) = query.refresh {
        writeln!(page, "<meta http-equiv=\"refresh\" content=\"{seconds}\">")?;
    }
    writeln!(
        page,
        "<title>Caches</title>\n<style>\n{STYLE}</style>\n</head>\n<body>"
    )?;
    header(page, look, query)?;
    findings(page, look)?;
    overview(page, look)?;
    for (index, seen) in look.seen.iter().enumerate() {
        section(page, index, seen, query)?;
    }
    page.push_str("</body>\n</html>\n");
    Ok(())
}

fn header(page: &mut String, look: &Look, query: &Query) -> fmt::Result {
    let total = look.total();
    match look.seen.len() {
        1 => page.push_str("<header><h1>1 cache</h1>\n<p>"),
        caches => write!(page, "<header><h1>{caches} caches</h1>\n<p>")?,
    }
    write!(page, "{} entries", Grouped(total.len()))?;
    if let Some(ratio) = total.hit_ratio() {
        write!(page, ", hit ratio {}", percent(ratio))?;
    }
    page.push_str("</p>\n<nav>");
    match query.refresh {
        Some(seconds) => write!(
            page,
            "asked again every {seconds} s · <a href=\"?\">stop</a>"
        )?,
        None => page.push_str("<a href=\"?refresh=5\">ask again every 5 s</a>"),
    }
    page.push_str("</nav></header>\n");
    Ok(())
}

/// What is wrong, before all else.
fn findings(page: &mut String, look: &Look) -> fmt::Result {
    if look.findings().next().is_none() {
        page.push_str("<p class=\"well\">Nothing is wrong, as far as the last minute tells.</p>\n");
        return Ok(());
    }
    page.push_str("<ul class=\"findings\">\n");
    for (index, seen) in look.seen.iter().enumerate() {
        for finding in &seen.findings {
            let (name, text) = (Text(&seen.name), finding.to_string());
            let text = Text(&text);
            writeln!(page, "<li><a href=\"#c{index}\">{name}</a> {text}.</li>")?;
        }
    }
    page.push_str("</ul>\n");
    Ok(())
}

/// A line for each cache.
fn overview(page: &mut String, look: &Look) -> fmt::Result {
    page.push_str("<table class=\"overview\">\n<thead><tr><th>cache</th><th>full</th><th></th>");
    page.push_str("<th>hit ratio</th><th>inserts/s</th><th>evicted/s</th></tr></thead>\n<tbody>\n");
    for (index, seen) in look.seen.iter().enumerate() {
        let (growth, seconds) = (seen.growth(), seen.compared.between.as_secs_f64());
        let ratio = growth.hit_ratio().map_or("–".to_owned(), percent);
        let evicted = growth.departures(brimful::Cause::Evicted);
        let ill = ill(seen);
        let name = Text(&seen.name);
        write!(page, "<tr{ill}><th><a href=\"#c{index}\">{name}</a></th>")?;
        write!(page, "<td>{}</td><td>", percent(full(seen)))?;
        bar(page, full(seen))?;
        write!(page, "</td><td>{ratio}</td>")?;
        let (inserts, evicted) = (rate(growth.inserts(), seconds), rate(evicted, seconds));
        writeln!(page, "<td>{inserts}</td><td>{evicted}</td></tr>")?;
    }
    page.push_str("</tbody>\n</table>\n");
    Ok(())
}

/// The class of what belongs to a cache with which something is wrong.
fn ill(seen: &Seen) -> &'static str {
    match seen.findings[..] {
        [] => "",
        _ => " class=\"ill\"",
    }
}

fn full(seen: &Seen) -> f64 {
    let now = seen.now();
    now.weight() as f64 / now.capacity().max(1) as f64
}

/// All of one cache.
fn section(page: &mut String, index: usize, seen: &Seen, query: &Query) -> fmt::Result {
    let (name, headline) = (Text(&seen.name), seen.headline());
    let ill = ill(seen);
    writeln!(page, "<section id=\"c{index}\"{ill}>\n<h2>{name}</h2>")?;
    writeln!(page, "<p>{}</p>", Text(&headline))?;
    page.push_str("<div class=\"charts\">\n");
    for chart in [Chart::hit_ratio(seen), Chart::flow(seen), Chart::fill(seen)] {
        chart.write(page)?;
    }
    page.push_str("</div>\n<div class=\"tables\">\n");
    figures(page, seen)?;
    page.push_str("<div>\n");
    rows(page, "classes", "what grew most first", &seen.classes())?;
    rows(page, "survey", "what grew most first", &seen.survey())?;
    rows(
        page,
        "lines of code",
        "that stored what is here",
        &seen.callers(),
    )?;
    scopes(page, seen)?;
    lingering(page, seen)?;
    page.push_str("</div>\n</div>\n");
    explain(page, seen, query)?;
    page.push_str("</section>\n");
    Ok(())
}

/// A table of what came of classes or lines of code; nothing, if there are none.
fn rows(page: &mut String, title: &str, says: &str, rows: &[Row]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(page, "<div><h3>{title} <small>{says}</small></h3>")?;
    let head = "<tr><th></th><th>weight</th><th>grown</th><th>entries</th><th>grown</th></tr>";
    let (first, rest) = rows.split_at(AT_ONCE.min(rows.len()));
    let row = |page: &mut String, row: &Row| {
        let (weight, entries) = (Grouped(row.weight), Grouped(row.entries));
        let (heavier, more) = (Signed(row.weight_grown), Signed(row.entries_grown));
        write!(
            page,
            "<tr><th>{}</th><td>{weight}</td><td>{heavier}</td>",
            Text(&row.name)
        )?;
        writeln!(page, "<td>{entries}</td><td>{more}</td></tr>")
    };
    table(page, head, first, row)?;
    if !rest.is_empty() {
        writeln!(page, "<details><summary>{} more</summary>", rest.len())?;
        table(page, head, rest, row)?;
        page.push_str("</details>\n");
    }
    page.push_str("</div>\n");
    Ok(())
}

fn table<T>(
    page: &mut String,
    head: &str,
    rows: impl IntoIterator<Item = T>,
    row: impl Fn(&mut String, T) -> fmt::Result,
) -> fmt::Result {
    writeln!(page, "<table>\n<thead>{head}</thead>\n<tbody>")?;
    rows.into_iter().try_for_each(|of| row(page, of))?;
    page.push_str("</tbody>\n</table>\n");
    Ok(())
}

fn scopes(page: &mut String, seen: &Seen) -> fmt::Result {
    let Some(scopes) = seen.now().scopes().filter(|scopes| scopes.open > 0) else {
        return Ok(());
    };
    let (open, entries) = (Grouped(scopes.open), Grouped(scopes.entries));
    write!(
        page,
        "<div><h3>scopes</h3>\n<p>{open} open, with {entries} entries"
    )?;
    if let Some(oldest) = scopes.oldest {
        write!(page, "; the oldest for {}", Seconds(oldest))?;
    }
    page.push_str("</p></div>\n");
    Ok(())
}

fn lingering(page: &mut String, seen: &Seen) -> fmt::Result {
    let Some(sum) = seen.now().lingering().filter(|sum| sum.values > 0) else {
        return Ok(());
    };
    let (values, weight) = (Grouped(sum.values), Grouped(sum.weight));
    writeln!(
        page,
        "<div><h3>lingering <small>let go, and held elsewhere</small></h3>"
    )?;
    writeln!(page, "<p>{values} values, weight {weight}</p>")?;
    let first = &seen.inside.lingerers;
    if !first.is_empty() {
        let head = "<tr><th>let go</th><th>weight</th><th>ago</th><th>holders</th></tr>";
        table(page, head, first, |page, value| {
            let (cause, weight) = (Text(value.cause.name()), Grouped(value.weight));
            let (since, holders) = (Seconds(value.since), value.holders);
            write!(page, "<tr><th>{cause}</th><td>{weight}</td>")?;
            writeln!(page, "<td>{since}</td><td>{holders}</td></tr>")
        })?;
    }
    page.push_str("</div>\n");
    Ok(())
}

/// All figures but those that are 0 and have not changed.
fn figures(page: &mut String, seen: &Seen) -> fmt::Result {
    let seconds = seen.compared.between.as_secs_f64();
    let between = Seconds(seen.compared.between);
    writeln!(
        page,
        "<div><h3>figures <small>changed in {between}</small></h3>"
    )?;
    let head = "<tr><th></th><th>now</th><th>changed</th><th>per s</th></tr>";
    let figures = seen.growth().figures();
    let figures = figures.filter(|(before, after)| before.value != 0 || after.value != 0);
    let row = |page: &mut String, (before, after): (Figure, Figure)| {
        write!(
            page,
            "<tr><th>{}</th><td>{}</td>",
            Text(after.name),
            Grouped(after.value)
        )?;
        let grown = i128::from(after.value) - i128::from(before.value);
        let counted = after.value.wrapping_sub(before.value);
        match after.kind {
            _ if grown == 0 => writeln!(page, "<td></td><td></td></tr>"),
            Kind::Counter => {
                let (counted, rate) = (Signed(counted.into()), rate(counted, seconds));
                writeln!(page, "<td>{counted}</td><td>{rate}</td></tr>")
            }
            Kind::Level => writeln!(page, "<td>{}</td><td></td></tr>", Signed(grown)),
            _ => writeln!(
                page,
                "<td>from {}</td><td></td></tr>",
                Grouped(before.value)
            ),
        }
    };
    table(page, head, figures, row)?;
    page.push_str("</div>\n");
    Ok(())
}

/// A field for a question, if the cache may be asked one, and the answer.
fn explain(page: &mut String, seen: &Seen, query: &Query) -> fmt::Result {
    if !seen.inside.explains {
        return Ok(());
    }
    let name = Text(&seen.name);
    let asked = query.question().filter(|&(name, _)| name == seen.name);
    let asked = asked.map_or("", |(_, text)| text);
    write!(
        page,
        "<form><input type=\"hidden\" name=\"cache\" value=\"{name}\">"
    )?;
    if let Some(seconds) = query.refresh {
        write!(
            page,
            "<input type=\"hidden\" name=\"refresh\" value=\"{seconds}\">"
        )?;
    }
    let asked = Text(asked);
    write!(
        page,
        "<label>explain <input name=\"explain\" value=\"{asked}\"></label>"
    )?;
    page.push_str("<button>ask</button></form>\n");
    if let Some(answer) = &seen.inside.answer {
        writeln!(page, "<pre>{}</pre>", Text(answer))?;
    }
    Ok(())
}
