//! `Query`: what the URL asks of the page.

/// The parts of a URL's query that the page knows; others are passed over.
#[derive(Default, PartialEq, Debug)]
pub(crate) struct Query {
    /// After how many seconds the browser is to ask again.
    pub(super) refresh: Option<u64>,
    cache: Option<String>,
    explain: Option<String>,
}

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        let parts = query.trim_start_matches('?').split('&');
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "refresh" => parsed.refresh = value.parse().ok().map(|s: u64| s.clamp(1, 3_600)),
                "cache" => parsed.cache = Some(decoded(value)),
                "explain" => parsed.explain = Some(decoded(value)),
                _ => {}
            }
        }
        parsed
    }

    /// The name of a cache, and what it is asked.
    pub(crate) fn question(&self) -> Option<(&str, &str)> {
        let text = self.explain.as_deref().filter(|text| !text.is_empty());
        self.cache.as_deref().zip(text)
    }
}

/// Without the escapes of a URL; one that is none stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escape = (byte == b'%')
            .then(|| rest.get(..2).and_then(hex))
            .flatten();
        bytes.push(match (byte, escape) {
            (_, Some(escaped)) => {
                rest = &rest[2..];
                escaped
            }
            (b'+', None) => b' ',
            (byte, None) => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| (*byte as char).to_digit(16);
    digits
        .iter()
        .try_fold(0, |sum, byte| Some(sum * 16 + digit(byte)? as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_a_browser_writes_it() {
        let query = Query::parse("refresh=5&cache=a+%26+b&explain=%C3%BCber%2B1&else=7");
        assert_eq!(query.refresh, Some(5));
        assert_eq!(query.question(), Some(("a & b", "über+1")));
        assert_eq!(Query::parse("?refresh=5"), Query::parse("refresh=5"));
    }

    #[test]
    fn whatever_else_comes_is_no_question_and_no_panic() {
        for query in [
            "",
            "&",
            "=",
            "refresh=",
            "refresh=-1",
            "refresh=x",
            "explain=a",
            "cache=a&explain=",
        ] {
            let parsed = Query::parse(query);
            assert_eq!((parsed.refresh, parsed.question()), (None, None), "{query}");
        }
        assert_eq!(Query::parse("refresh=0").refresh, Some(1));
        assert_eq!(Query::parse("refresh=99999999").refresh, Some(3_600));
        let texts = ["%", "%4", "%zz", "%+1", "%ff", "%é"].map(decoded);
        assert_eq!(texts, ["%", "%4", "%zz", "% 1", "\u{FFFD}", "%é"]);
    }
}
