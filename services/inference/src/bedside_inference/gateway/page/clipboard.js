// Copying a text, also where the browser keeps its clipboard from the page (plain HTTP, a policy).

/** Whether it is in the clipboard now; `host` is an element in whose place the fallback may work. */
export async function copy(text, host) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelection(text, host); // refused, or not there at all
  }
}

function copySelection(text, host) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "for-readers";
  host.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus({ preventScroll: true });
  return copied;
}
