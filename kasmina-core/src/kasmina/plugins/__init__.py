"""The plugins: `catalog` describes what is installed, `drivers` loads the one that was named, `hooks` calls them."""
