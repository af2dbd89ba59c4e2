//! A small check that a document is well-formed: every element that is opened is closed, in order;
//! attributes are quoted and given once; `<`, `>` and `&` stand for nothing else.

/// Elements without an end.
const VOID: [&str; 2] = ["meta", "input"];

/// The names of all elements, in order; panics where the document is not well-formed.
pub(crate) fn elements(document: &str) -> Vec<String> {
    let body = document
        .strip_prefix("<!DOCTYPE html>\n")
        .expect("a doctype");
    let (mut open, mut all) = (Vec::<String>::new(), Vec::new());
    let mut rest = body;
    while let Some((text, after)) = rest.split_once('<') {
        if open.last().map(String::as_str) != Some("style") {
            check_text(text);
        }
        let (tag, after) = after.split_once('>').expect("a tag that ends");
        assert!(!tag.contains('<'), "<{tag}>");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "</{name}>");
            continue;
        }
        let (tag, alone) = tag
            .strip_suffix('/')
            .map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
            "<{tag}>"
        );
        check_attributes(attributes);
        all.push(name.to_owned());
        if !alone && !VOID.contains(&name) {
            open.push(name.to_owned());
        }
    }
    assert!(
        open.is_empty() && rest.trim().is_empty(),
        "{open:?} are open, then {rest:?}"
    );
    all
}

/// `name="value" name="value"`.
fn check_attributes(attributes: &str) {
    let mut names = Vec::new();
    let mut rest = attributes.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("an attribute in quotes");
        let (value, after) = after.split_once('"').expect("a quote that ends");
        assert!(
            name.chars().all(|c| c.is_ascii_alphabetic() || c == '-'),
            "{attributes}"
        );
        assert!(!names.contains(&name), "{name} twice: {attributes}");
        names.push(name);
        check_text(value);
        rest = after.trim_start();
    }
}

/// No `>`, and each `&` begins an entity.
fn check_text(text: &str) {
    assert!(!text.contains('>'), "{text}");
    for entity in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
        assert!(
            known.iter().any(|known| entity.starts_with(known)),
            "&{entity}"
        );
    }
}

#[test]
fn what_is_wrong_with_a_document_is_found() {
    let good = "<!DOCTYPE html>\n<p a=\"1\" b=\"&lt;\">x<meta c=\"\"><rect/></p>\n";
    assert_eq!(elements(good), ["p", "meta", "rect"]);
    for bad in [
        "<p>",
        "<p></b>",
        "<p a=1></p>",
        "<p a=\"1\" a=\"1\"></p>",
        "<p>&</p>",
        "<p>></p>",
        "<p a=\"&\"></p>",
        "<p><script></p>",
    ] {
        let checked = std::panic::catch_unwind(|| elements(&format!("<!DOCTYPE html>\n{bad}")));
        assert!(checked.is_err(), "{bad}");
    }
}
