//! Reading a trace: lines of text or the `.btr` format, either of them behind zstd. What the input
//! is, its first bytes tell. Every complaint says where: `file:line`, or the number of the request.
//!
//! `.btr`, little-endian: 8 bytes magic, u64 number of requests, one byte 0 or 1 for "has sizes", 7
//! bytes zero; then for each request its key as u64 and, with sizes, its size in bytes as u32.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;

use crate::zstd::{self, Zstd};
use crate::{Recorder, Trace};

const BTR_MAGIC: &[u8; 8] = b"BTRACE1\0";

/// How a line is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form {
    /// The field that counts, from 1; without it the line as it is.
    pub field: Option<usize>,
    /// Whether it is `key,size`. A .btr trace says itself whether it has sizes; then this asks that
    /// it has.
    pub sizes: bool,
}

/// Reads the trace in a file, or on standard input for `-`.
pub fn read(path: &Path, form: Form) -> Result<Trace, String> {
    if path == Path::new("-") {
        return parse("<stdin>", io::stdin().lock(), form);
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|e| format!("{name}: {e}"))?;
    parse(&name, BufReader::new(file), form)
}

/// Reads a trace of any form; `name` is for complaints.
fn parse(name: &str, source: impl BufRead, form: Form) -> Result<Trace, String> {
    let complain = |e: io::Error| format!("{name}: {e}");
    let (head, source) = peek(source).map_err(complain)?;
    if head.starts_with(&zstd::MAGIC) {
        let (head, source) = peek(BufReader::new(Zstd::new(source))).map_err(complain)?;
        return parse_plain(name, &head, source, form);
    }
    parse_plain(name, &head, source, form)
}

fn parse_plain(name: &str, head: &[u8], source: impl BufRead, form: Form) -> Result<Trace, String> {
    if head.is_empty() {
        return Err(format!("{name}: the file is empty"));
    }
    if head == BTR_MAGIC {
        let trace = parse_btr(name, source, form)?;
        if form.sizes && !trace.sized {
            return Err(format!(
                "{name}: this .btr trace has no sizes, so --sizes has nothing to read"
            ));
        }
        return Ok(trace);
    }
    if name.ends_with(".btr") || name.ends_with(".btr.zst") {
        return Err(format!(
            "{name}: this is no .btr trace: it does not begin with `BTRACE1` and a zero byte"
        ));
    }
    parse_lines(name, source, form)
}

/// The first bytes (as many as a magic has), and the stream with them still in it.
fn peek<R: BufRead>(mut source: R) -> io::Result<(Vec<u8>, impl BufRead)> {
    let mut head = Vec::new();
    source
        .by_ref()
        .take(BTR_MAGIC.len() as u64)
        .read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(source)))
}

fn parse_lines(name: &str, mut source: impl BufRead, form: Form) -> Result<Trace, String> {
    let mut recorder = Recorder::new(form.sizes);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = source
            .read_until(b'\n', &mut line)
            .map_err(|e| format!("{name}:{number}: {e}"))?;
        if read == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (key, size) =
            parse_line(&line, form).map_err(|why| format!("{name}:{number}: {why}"))?;
        recorder.push(key, size);
    }
    let trace = recorder.finish();
    if trace.requests.is_empty() {
        return Err(format!("{name}: there is nothing but blank lines in it"));
    }
    Ok(trace)
}

/// Key and size in one line, which is not blank.
fn parse_line(line: &[u8], form: Form) -> Result<(&[u8], u64), String> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let part = match form.field {
        None => line,
        Some(field) => {
            let mut fields = line
                .split(u8::is_ascii_whitespace)
                .filter(|part| !part.is_empty());
            let count = fields.clone().count();
            fields
                .nth(field - 1)
                .ok_or_else(|| format!("there is no field {field}: the line has {count}"))?
        }
    };
    if !form.sizes {
        return Ok((part, 1));
    }
    let comma = part
        .iter()
        .rposition(|&byte| byte == b',')
        .ok_or("there is no comma between a key and its size")?;
    let size = part[comma + 1..].trim_ascii();
    let number = std::str::from_utf8(size)
        .ok()
        .and_then(|text| text.parse().ok());
    let size = number.ok_or_else(|| {
        let size = String::from_utf8_lossy(size);
        format!(
            "the size `{size}` is no whole number from 0 to {}",
            u64::MAX
        )
    })?;
    Ok((&part[..comma], size))
}

fn parse_btr(name: &str, mut source: impl BufRead, form: Form) -> Result<Trace, String> {
    if form.field.is_some() {
        return Err(format!(
            "{name}: --field is for lines of text, and this is a .btr trace"
        ));
    }
    let (requests, sized) = parse_btr_header(name, &mut source)?;
    let mut recorder = Recorder::new(sized);
    let mut record = [0; 12];
    let length = if sized { 12 } else { 8 };
    for number in 1..=requests {
        source
            .read_exact(&mut record[..length])
            .map_err(|e| match e.kind() {
                ErrorKind::UnexpectedEof => {
                    format!("{name}: request {number} of {requests}: the file ends here")
                }
                _ => format!("{name}: request {number} of {requests}: {e}"),
            })?;
        let (key, size) = record[..length].split_at(8);
        let size = size
            .try_into()
            .map_or(1, |size| u32::from_le_bytes(size).into());
        recorder.push(key, size);
    }
    match source.fill_buf() {
        Ok([]) => Ok(recorder.finish()),
        Ok(_) => Err(format!(
            "{name}: the file goes on after the {requests} requests that it declares"
        )),
        Err(e) => Err(format!("{name}: after request {requests}: {e}")),
    }
}

/// The number of requests, and whether they have sizes.
fn parse_btr_header(name: &str, source: &mut impl BufRead) -> Result<(u64, bool), String> {
    let mut header = [0; 24];
    source.read_exact(&mut header).map_err(|e| match e.kind() {
        ErrorKind::UnexpectedEof => {
            format!("{name}: the file ends within the 24 bytes of the .btr header")
        }
        _ => format!("{name}: the .btr header: {e}"),
    })?;
    let mut requests = [0; 8];
    requests.copy_from_slice(&header[8..16]);
    let requests = u64::from_le_bytes(requests);
    let sized = match header[16..] {
        [sized @ (0 | 1), 0, 0, 0, 0, 0, 0, 0] => sized == 1,
        _ => {
            return Err(format!(
                "{name}: bytes 16 to 23 of the .btr header are not 0 or 1 and seven zeros"
            ));
        }
    };
    if requests == 0 {
        return Err(format!("{name}: this .btr trace has no requests"));
    }
    Ok((requests, sized))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn keys(text: &[u8], form: Form) -> Result<Vec<u64>, String> {
        let trace = parse("log", text, form)?;
        Ok(trace.requests.iter().map(|r| r.key).collect())
    }

    fn field(field: usize) -> Form {
        Form {
            field: Some(field),
            sizes: false,
        }
    }

    const SIZES: Form = Form {
        field: None,
        sizes: true,
    };

    fn btr(requests: u64, sized: u8, records: &[u8]) -> Vec<u8> {
        let mut data = BTR_MAGIC.to_vec();
        data.extend(requests.to_le_bytes());
        data.extend([sized, 0, 0, 0, 0, 0, 0, 0]);
        data.extend(records);
        data
    }

    #[test]
    fn lines_are_keys() {
        assert_eq!(
            keys(b"a\nb c\r\n\n  \na\nb c", Form::default()).unwrap(),
            [0, 1, 0, 1]
        );
        assert_eq!(
            keys(b"\xff\xfe\n\xff\n\xff\xfe\n", Form::default()).unwrap(),
            [0, 1, 0]
        );
        assert_eq!(keys(b"x", Form::default()).unwrap(), [0]);
    }

    #[test]
    fn a_field_is_counted_from_one() {
        let log = b"10.0.0.1 GET  /a 200\n10.0.0.2\tGET /b 200\n10.0.0.1 GET /b 404\n";
        assert_eq!(keys(log, field(1)).unwrap(), [0, 1, 0]);
        assert_eq!(keys(log, field(3)).unwrap(), [0, 1, 1]);
        assert_eq!(
            keys(b"a b\n\na\n", field(2)).unwrap_err(),
            "log:3: there is no field 2: the line has 1"
        );
    }

    #[test]
    fn sizes_follow_the_last_comma() {
        let trace = parse("log", &b"a,b,10\nc, 0 \r\na,b,7\n"[..], SIZES).unwrap();
        let sizes: Vec<u64> = trace.requests.iter().map(|r| r.size).collect();
        assert_eq!(
            (sizes, trace.unique, trace.unique_size),
            (vec![10, 0, 7], 2, 10)
        );
        let both = Form {
            field: Some(2),
            sizes: true,
        };
        assert_eq!(
            parse("log", &b"GET /a,3\n"[..], both).unwrap().unique_size,
            3
        );
    }

    #[test]
    fn a_bad_size_is_named_with_its_line() {
        for bad in ["a,x", "a,", "a,-1", "a,1.5", "a,99999999999999999999"] {
            let error = keys(format!("ok,1\n{bad}\n").as_bytes(), SIZES).unwrap_err();
            assert!(error.starts_with("log:2: the size `"), "{error}");
        }
        assert_eq!(
            keys(b"a\n", SIZES).unwrap_err(),
            "log:1: there is no comma between a key and its size"
        );
    }

    #[test]
    fn nothing_is_an_error() {
        assert_eq!(
            keys(b"", Form::default()).unwrap_err(),
            "log: the file is empty"
        );
        assert!(
            keys(b"\n \n", Form::default())
                .unwrap_err()
                .contains("blank")
        );
        let empty = compress_to_vec(&b""[..], CompressionLevel::Fastest);
        assert_eq!(
            keys(&empty, Form::default()).unwrap_err(),
            "log: the file is empty"
        );
    }

    #[test]
    fn btr_is_known_by_its_magic_also_behind_zstd() {
        let records: Vec<u8> = [7_u64, 8, 7].iter().flat_map(|k| k.to_le_bytes()).collect();
        let plain = btr(3, 0, &records);
        assert_eq!(keys(&plain, Form::default()).unwrap(), [0, 1, 0]);
        let packed = compress_to_vec(&plain[..], CompressionLevel::Fastest);
        assert_eq!(keys(&packed, Form::default()).unwrap(), [0, 1, 0]);
        let lines = compress_to_vec(&b"a\na\nb\n"[..], CompressionLevel::Fastest);
        assert_eq!(keys(&lines, Form::default()).unwrap(), [0, 0, 1]);
        assert!(keys(&plain, SIZES).unwrap_err().contains("no sizes"));
        assert!(keys(&plain, field(1)).unwrap_err().contains("--field"));
    }

    #[test]
    fn btr_sizes_are_read_where_there_are_any() {
        let record = |key: u64, size: u32| [&key.to_le_bytes()[..], &size.to_le_bytes()].concat();
        let data = btr(2, 1, &[record(1, 100), record(1, 250)].concat());
        let trace = parse("x.btr", &data[..], SIZES).unwrap();
        assert_eq!((trace.unique_size, trace.requests[1].size), (100, 250));
        let trace = parse("x.btr", &data[..], Form::default()).unwrap();
        assert!(trace.sized && trace.unique_size == 100);
        let trace = parse("x.btr", &btr(1, 0, &[0; 8])[..], Form::default()).unwrap();
        assert!(!trace.sized && trace.unique_size == 1);
    }

    #[test]
    fn broken_btr_is_told_where() {
        let records: Vec<u8> = (0..5_u64).flat_map(u64::to_le_bytes).collect();
        let error = |data: &[u8]| parse("x.btr", data, Form::default()).unwrap_err();
        assert_eq!(
            error(&btr(6, 0, &records)),
            "x.btr: request 6 of 6: the file ends here"
        );
        assert_eq!(
            error(&btr(5, 0, &records[..39])),
            "x.btr: request 5 of 5: the file ends here"
        );
        assert!(error(&btr(u64::MAX, 0, &records)).contains("request 6 of"));
        assert!(error(&btr(4, 0, &records)).contains("goes on after the 4"));
        assert!(error(&btr(0, 0, b"")).contains("no requests"));
        assert!(error(&btr(5, 2, &records)).contains("bytes 16 to 23"));
        assert!(error(&btr(5, 0, &records)[..20]).contains("ends within the 24 bytes"));
        assert!(error(b"1\n2\n").contains("no .btr trace"));
    }
}
