/* One clock for all ages on the page: a tick each second, while anybody looks. */
class Clock {
  now = $state(Date.now());

  run(): () => void {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") this.now = Date.now();
    }, 1000);
    return () => clearInterval(timer);
  }
}

export const clockNow = new Clock();
