// Hands the page's colours to the figures, once they are there and whenever the reader changes light and dark.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const paint = () => {
    const [ink, faint, grid] = ["--ink", "--faint", "--grid"].map(css);
    const text = {text_color: ink}, colours = {
      axis_label_text_color: faint, axis_line_color: faint, major_label_text_color: faint, major_tick_line_color: faint,
      minor_tick_line_color: null, grid_line_color: grid, label_text_color: ink, title_text_color: faint,
      background_fill_color: null, border_fill_color: null, outline_line_color: null, border_line_color: null,
      bar_line_color: null,
    };
    for (const doc of Bokeh.documents) {
      for (const model of doc.all_models ?? doc._all_models.values()) {
        for (const [name, colour] of Object.entries({...colours, ...(model.type === "Title" ? text : {})})) {
          if (name in model.properties) model[name] = colour;
        }
      }
    }
  };
  const ready = () => (Bokeh.documents.length ? paint() : setTimeout(ready, 20));
  addEventListener("load", ready);
  dark.addEventListener("change", paint);
})();
