//! How well customers are served: [`sound`] listens to the two channels of a recording while it is written and says who talked when, how
//! loud, when nobody did and when both did. It knows no file, thread or configuration: samples are handed to it.

pub mod sound;
