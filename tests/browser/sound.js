// What a page hears of its call: the loudest frequency in Hz, told as `hears` as often as it is listened for. Silence is told as 0.
let listening;

export function listen(connection) {
  clearInterval(listening);
  const stream = new MediaStream(connection.getReceivers().map((receiver) => receiver.track));
  // Chromium has no sound of a call for the analyser unless an element plays it too.
  const element = new Audio();
  element.muted = true;
  element.srcObject = stream;
  element.play();
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
  context.createMediaStreamSource(stream).connect(analyser);
  const levels = new Float32Array(analyser.frequencyBinCount);
  listening = setInterval(() => {
    analyser.getFloatFrequencyData(levels);
    const loudest = levels.reduce((best, level, at) => (level > levels[best] ? at : best), 1);
    window.tell('hears', levels[loudest] > -50 ? Math.round((loudest * context.sampleRate) / analyser.fftSize) : 0);
  }, 250);
}

// As it is: a tone is no noise here.
export const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
