//! Reading zstd: any number of frames one after another, each held against its checksum.

use std::error::Error;
use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The first bytes of a frame.
pub(crate) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// How much is decoded at a time.
const STEP: usize = 1 << 17;

/// The text behind a zstd stream.
pub(crate) struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    within_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            decoder: FrameDecoder::new(),
            within_frame: false,
        }
    }

    /// Begins the next frame; `false` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(
                        &mut self.source.by_ref().take(length.into()),
                        &mut io::sink(),
                    )?;
                    if skipped < length.into() {
                        return Err(broken(ENDS_EARLY));
                    }
                }
                Err(error) => return Err(explained(&error)),
            }
        }
        Ok(false)
    }

    /// Decodes until there is something to hand out, or the frame is at its end.
    fn decode(&mut self) -> io::Result<()> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let strategy = BlockDecodingStrategy::UptoBytes(STEP);
            self.decoder
                .decode_blocks(&mut self.source, strategy)
                .map_err(|error| explained(&error))?;
        }
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(sum) if Some(sum) != self.decoder.get_calculated_checksum() => {
                Err(broken("the text does not match its checksum"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.within_frame {
                self.within_frame = self.next_frame()?;
                if !self.within_frame {
                    return Ok(0);
                }
            }
            self.decode()?;
            let length = self.decoder.read(buffer)?;
            if length > 0 {
                return Ok(length);
            }
            self.check()?;
            self.within_frame = false;
        }
    }
}

const ENDS_EARLY: &str = "the file ends within a frame";

/// The decoder's error for a reader: that the file is cut off lies deep in it.
fn explained(error: &FrameDecoderError) -> io::Error {
    let causes = std::iter::successors(Some(error as &dyn Error), |&error| error.source());
    let cut_off = causes
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::UnexpectedEof);
    if cut_off {
        broken(ENDS_EARLY)
    } else {
        broken(error)
    }
}

fn broken(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("broken zstd data: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn decoded(data: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        Zstd::new(data).read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn frames_are_joined_and_skippable_ones_skipped() {
        let long: Vec<u8> = (0..300_000_u32)
            .map(|i| (i.wrapping_mul(i) >> 7) as u8)
            .collect();
        let mut data = compress_to_vec(&long[..], CompressionLevel::Fastest);
        data.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'x', b'y', b'z']);
        data.extend(compress_to_vec(&b"end"[..], CompressionLevel::Fastest));
        assert_eq!(decoded(&data).unwrap(), [&long[..], b"end"].concat());
    }

    #[test]
    fn broken_data_is_an_error_wherever_it_breaks() {
        let text: Vec<u8> = (0..900_u32)
            .flat_map(|i| format!("{} ", i.wrapping_mul(i) % 97).into_bytes())
            .collect();
        let data = compress_to_vec(&text[..], CompressionLevel::Fastest);
        assert_eq!(decoded(&data).unwrap(), text);
        for length in 1..data.len() {
            let error = decoded(&data[..length]).unwrap_err().to_string();
            assert!(error.contains(ENDS_EARLY), "cut to {length}: {error}");
        }
        for at in 0..data.len() {
            let mut bad = data.clone();
            bad[at] ^= 0x10;
            // Some bits of the header only say how much memory to reserve; a wrong text is what must not come out.
            assert!(
                decoded(&bad).map_or(true, |got| got == text),
                "flipped at {at}"
            );
        }
    }
}
