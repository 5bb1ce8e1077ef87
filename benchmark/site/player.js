/* Videos that move in step under one scrubber. The first video is the clock; the others follow it. */
(function () {
  "use strict";
  const FPS = 25;
  const DRIFT_S = 0.1;
  const FEW = 8;

  class Player {
    constructor(root) {
      this.root = root;
      this.videos = Array.from(root.querySelectorAll("video"));
      this.heads = Array.from(root.querySelectorAll(".playhead"));
      this.range = root.querySelector("input[type=range]");
      this.output = root.querySelector("output");
      this.playButton = root.querySelector(".play");
      this.soundButton = root.querySelector(".sound");
      this.frame = 0;
      this.playing = false;
      if (!this.videos.length) return;
      root.querySelector(".controls").hidden = false;
      this.range.hidden = false;
      for (const video of this.videos) {
        video.removeAttribute("controls");
        video.muted = true;
      }
      this.listen();
      this.show(0);
    }

    get clock() { return this.videos[0]; }
    get last() { return Number(this.range.max); }

    listen() {
      this.range.addEventListener("input", () => this.seek(Number(this.range.value)));
      this.playButton.addEventListener("click", () => this.toggle());
      this.root.querySelector(".back").addEventListener("click", () => this.step(-1));
      this.root.querySelector(".on").addEventListener("click", () => this.step(1));
      this.soundButton.addEventListener("click", () => this.sound());
      this.clock.addEventListener("ended", () => this.end());
      this.clock.addEventListener("loadedmetadata", () => this.measure());
      for (const video of this.videos) video.addEventListener("click", () => this.toggle());
      this.root.addEventListener("keydown", (event) => this.key(event));
    }

    /* Where the page does not know how many frames there are, the clock does. */
    measure() {
      if (Number(this.root.dataset.frames) > 0) return;
      this.range.max = String(Math.max(1, Math.round(this.clock.duration * FPS)) - 1);
    }

    load() {
      for (const video of this.videos) {
        if (video.preload === "auto" || !video.hasAttribute("src")) continue;
        video.preload = "auto";
        video.load();
      }
    }

    show(frame) {
      this.frame = Math.min(Math.max(frame, 0), this.last);
      this.range.value = String(this.frame);
      const share = this.last > 0 ? this.frame / this.last : 0;
      for (const head of this.heads) head.style.left = "calc(8px + (100% - 16px) * " + share.toFixed(5) + ")";
      this.output.textContent = (this.frame / FPS).toFixed(2) + " s · frame " + this.frame;
    }

    seek(frame) {
      this.pause();
      this.load();
      this.show(frame);
      for (const video of this.videos) video.currentTime = (this.frame + 0.5) / FPS;
    }

    step(by) { this.seek(this.frame + by); }

    toggle() { if (this.playing) this.pause(); else this.play(); }

    play() {
      this.load();
      if (this.frame >= this.last) this.show(0);
      const from = this.frame / FPS;
      this.playing = true;
      this.label();
      for (const video of this.videos) {
        video.currentTime = from;
        const started = video.play();
        if (started) started.catch(() => this.refused(video));
      }
      requestAnimationFrame(() => this.tick());
    }

    refused(video) { if (video === this.clock) this.pause(); }

    tick() {
      if (!this.playing) return;
      const now = this.clock.currentTime;
      this.show(Math.floor(now * FPS + 1e-3));
      for (const video of this.videos.slice(1)) this.follow(video, now - video.currentTime);
      requestAnimationFrame(() => this.tick());
    }

    /* Small lags are run down by the rate, which nobody notices; large ones by a jump. */
    follow(video, lag) {
      if (video.seeking || video.ended) return;
      if (Math.abs(lag) > DRIFT_S) video.currentTime += lag;
      else video.playbackRate = 1 + 2 * lag;
    }

    pause() {
      if (!this.playing) return;
      this.playing = false;
      for (const video of this.videos) {
        video.pause();
        video.currentTime = (this.frame + 0.5) / FPS;
      }
      this.label();
    }

    end() {
      this.show(this.last);
      this.pause();
    }

    label() {
      this.playButton.textContent = this.playing ? "❚❚" : "▶";
      this.playButton.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    }

    /* One voice at a time: the sound goes from video to video, then off. */
    sound() {
      const from = this.videos.findIndex((video) => !video.muted);
      const next = from + 1;
      this.videos.forEach((video, n) => { video.muted = n !== next; });
      const caption = next < this.videos.length ? this.videos[next].closest("figure").querySelector("figcaption") : null;
      this.soundButton.textContent = caption ? "sound: " + caption.textContent : "sound off";
      this.soundButton.setAttribute("aria-pressed", String(Boolean(caption)));
    }

    key(event) {
      const onControl = event.target.closest("button, input, select, a, summary");
      const actions = {
        " ": () => this.toggle(), k: () => this.toggle(), ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1),
        Home: () => this.seek(0), End: () => this.seek(this.last),
      };
      const action = actions[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      if (onControl && (event.key === " " || onControl.type === "range")) return;
      event.preventDefault();
      action();
    }
  }

  /* A few players load at once; of many, each loads as it comes near. */
  function start() {
    const players = new Map();
    for (const root of document.querySelectorAll(".player")) players.set(root, new Player(root));
    if (players.size <= FEW) {
      for (const player of players.values()) player.load();
      return players;
    }
    const near = new IntersectionObserver((seen) => {
      for (const entry of seen) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        players.get(entry.target).load();
      }
    }, { rootMargin: "300px" });
    for (const root of players.keys()) near.observe(root);
    return players;
  }

  window.mitdsPlayers = start();
})();
