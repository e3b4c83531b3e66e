//! Changes inputs the way that text protocols break: octets, lines, tokens, numbers, delimiters, and pieces of other inputs.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

pub struct Mutator {
    chance: ChaCha8Rng,
}

/// What parsers look for, and what they trip over.
const DELIMITERS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b"\r\n ",
    b"\r\n\r\n",
    b":",
    b";",
    b",",
    b"=",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"\\\"",
    b"?",
    b"&",
    b"@",
    b"/",
    b"[",
    b"]",
    b"%",
    b"%0d%0a",
    b"%00",
    b"%22",
    b"%3E",
    b"#",
    b"*",
    b"(",
    b")",
    b"{",
    b"}",
    b"|",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xc3\xbc",
    b"sip:",
    b"tel:",
    b"SIP/2.0",
    b"=\"",
    b"\",",
    b"\r\nVia: SIP/2.0/UDP evil\r\n",
    b"%0D%0AVia: evil",
];

const NUMBERS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"1",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"2147483648",
    b"4294967295",
    b"4294967296",
    b"18446744073709551616",
    b"00",
    b"1e9",
    b"0x10",
];

impl Mutator {
    pub fn new(seed: u64, name: &str) -> Mutator {
        let stream = name.bytes().fold(0u64, |n, b| n.wrapping_mul(31).wrapping_add(u64::from(b)));
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        chance.set_stream(stream);
        Mutator { chance }
    }

    pub fn chance(&mut self) -> u64 {
        self.chance.next_u64()
    }

    /// 0 to `n - 1`; 0 for `n` = 0.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.chance() % (n.max(1) as u64)).unwrap_or(0)
    }

    /// One of the corpus with one to six changes.
    pub fn mutate(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(corpus).to_vec();
        // Mostly one: several at once are mostly refused for the first.
        let changes = 1 + (self.below(4) == 0) as usize * self.below(6);
        for _ in 0..changes {
            self.change(&mut input, corpus);
        }
        input
    }

    fn pick<'a, T: AsRef<[u8]>>(&mut self, from: &'a [T]) -> &'a [u8] {
        from.get(self.below(from.len())).map(T::as_ref).unwrap_or_default()
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        match self.below(15) {
            0 => {
                let bit = 1 << self.below(8);
                if let Some(b) = input.get_mut(at) {
                    *b ^= bit;
                }
            }
            1 => {
                let value = self.below(256) as u8;
                if let Some(b) = input.get_mut(at) {
                    *b = value;
                }
            }
            2 | 3 => {
                let delimiter = self.pick(DELIMITERS);
                input.splice(at..at, delimiter.iter().copied());
            }
            4 => {
                let end = (at + 1 + self.below(16)).min(input.len());
                input.drain(at.min(end)..end);
            }
            5 => {
                let end = (at + 1 + self.below(64)).min(input.len());
                let piece = input[at.min(end)..end].to_vec();
                let times = 1 + self.below(4);
                for _ in 0..times {
                    input.splice(at..at, piece.iter().copied());
                }
            }
            6 => input.truncate(at),
            7 => {
                let other = self.pick(corpus);
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            8 => self.lines(input, |mutator, lines| {
                let (from, to) = (mutator.below(lines.len()), mutator.below(lines.len() + 1));
                let line = lines[from].clone();
                lines.insert(to, line);
            }),
            9 => self.lines(input, |mutator, lines| {
                lines.remove(mutator.below(lines.len()));
            }),
            10 => self.lines(input, |mutator, lines| {
                let (a, b) = (mutator.below(lines.len()), mutator.below(lines.len()));
                lines.swap(a, b);
            }),
            11 => {
                let donor = self.pick(corpus);
                let line = {
                    let lines: Vec<&[u8]> = donor.split_inclusive(|&b| b == b'\n').collect();
                    self.pick(&lines).to_vec()
                };
                self.lines(input, |mutator, lines| {
                    let to = mutator.below(lines.len() + 1);
                    lines.insert(to, line);
                });
            }
            12 => {
                let donor = self.pick(corpus);
                let range = self.token(donor);
                let token = donor[range].to_vec();
                let range = self.token(input);
                input.splice(range, token);
            }
            13 => {
                let range = self.token(input);
                let delimiter = self.pick(DELIMITERS);
                let place = if self.below(2) == 0 { range.start } else { range.end };
                input.splice(place..place, delimiter.iter().copied());
            }
            _ => {
                let number = self.pick(NUMBERS);
                let digits: Vec<usize> = (0..input.len()).filter(|&i| input[i].is_ascii_digit()).collect();
                if let Some(&start) = digits.get(self.below(digits.len())) {
                    let end = (start..input.len()).find(|&i| !input[i].is_ascii_digit()).unwrap_or(input.len());
                    input.splice(start..end, number.iter().copied());
                }
            }
        }
    }

    fn lines(&mut self, input: &mut Vec<u8>, change: impl FnOnce(&mut Mutator, &mut Vec<Vec<u8>>)) {
        let mut lines: Vec<Vec<u8>> = input.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        if !lines.is_empty() {
            change(self, &mut lines);
            *input = lines.concat();
        }
    }

    /// Where a word between delimiters is.
    fn token(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let is_end = |b: &u8| b" \t\r\n:;,=<>\"@/?&".contains(b);
        let start = self.below(input.len() + 1);
        let begin = input[..start].iter().rposition(is_end).map_or(0, |i| i + 1);
        let end = input[start..].iter().position(is_end).map_or(input.len(), |i| start + i);
        begin..end
    }
}
