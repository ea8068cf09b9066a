/* Light, dark, or as the system has it. Kept in this browser where it may be. */
export type Theme = "system" | "light" | "dark";

const KEY = "flowjob-theme";

class Themes {
  chosen = $state<Theme>("system");

  load(): void {
    let kept: string | null = null;
    try {
      kept = localStorage.getItem(KEY);
    } catch {
      /* storage may be forbidden: the system's theme then */
    }
    this.choose(kept === "light" || kept === "dark" ? kept : "system");
  }

  choose(theme: Theme): void {
    this.chosen = theme;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      /* as above */
    }
  }

  next(): void {
    const order: Theme[] = ["system", "light", "dark"];
    this.choose(order[(order.indexOf(this.chosen) + 1) % order.length]!);
  }
}

export const themes = new Themes();

/** Whether it is dark now: charts draw on a canvas and have to know. */
export function dark(): boolean {
  if (themes.chosen !== "system") return themes.chosen === "dark";
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}
