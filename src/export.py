"""Makes a trained model usable elsewhere: python src/export.py checkpoint=<run> format=safetensors output=<folder>."""

from polymodal.export.command import main

if __name__ == "__main__":
    main()
